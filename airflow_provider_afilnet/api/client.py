"""Two thin clients, synchronous (requests) and asynchronous (aiohttp), around the same pure functions.

Neither follows redirects, keeps cookies, repeats a call or reads credentials from anywhere but its settings. A call
either returns its result or raises one typed error whose message holds no secret and no person. The HTTP libraries are
imported when a client is used, not before.
"""

from __future__ import annotations

import logging
import ssl
import sys
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from airflow_provider_afilnet.api.answers import ContactRecord, lost, not_sent, read_answer
from airflow_provider_afilnet.api.calls import Call, build_call
from airflow_provider_afilnet.api.errors import AfilnetConfigurationError, AfilnetError
from airflow_provider_afilnet.api.methods import Method
from airflow_provider_afilnet.api.network import certificate_file, keep_urls_out_of_logs, proxy_for, ssl_context
from airflow_provider_afilnet.api.settings import ClientSettings
from airflow_provider_afilnet.api.styles import put_on_wire

if TYPE_CHECKING:
    import aiohttp
    import requests

log = logging.getLogger(__name__)

_SLICE = 65536
_TLS_ADVICE = (
    "the server's certificate could not be verified; check the host, or name your authority's PEM file in the "
    "connection's extra 'ca_bundle'"
)
_UNREACHABLE = "the server could not be reached; check host and port of the connection, and the network"


def _too_slow(settings: ClientSettings) -> str:
    return f"nothing came for {settings.timeout:g} s (extra 'timeout')"


def _warn_of_get(settings: ClientSettings) -> None:
    if settings.style == "get":
        log.warning("api_style 'get' sends user and password in the URL, where logs and caches keep them; use 'post'.")


def _unusable_address(method: Method, settings: ClientSettings) -> AfilnetError:
    return AfilnetConfigurationError(
        f"{method.name} was not sent: the address {settings.base_url!r} (or the proxy of the environment) cannot be "
        "used; check the connection's host.",
        method=method.name,
    )


class _Untied:
    """Cuts what the HTTP library raised off our errors: its text holds the URL, which in the GET styles holds secrets.

    ``raise … from None`` only hides it from tracebacks.
    """

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, AfilnetError):
            error.__context__ = None


class AfilnetClient:
    """One call at a time over one pooled ``requests`` session. Use it as a context manager, or :meth:`close` it."""

    def __init__(self, settings: ClientSettings) -> None:
        self.settings = settings
        self._session: requests.Session | None = None

    def session(self) -> requests.Session:
        """The session, made at first use: no redirects, retries, cookies or environment credentials."""
        if self._session is None:
            from http.cookiejar import DefaultCookiePolicy

            import requests
            from requests.adapters import HTTPAdapter

            _warn_of_get(self.settings)
            keep_urls_out_of_logs()
            session = requests.Session()
            session.trust_env = False
            session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
            session.headers.clear()
            adapter = HTTPAdapter(pool_maxsize=self.settings.max_connections, max_retries=0)
            session.mount("https://", adapter)
            session.mount("http://", adapter)
            if self.settings.base_url.startswith("https"):
                session.verify = certificate_file(self.settings)
            if proxy := proxy_for(self.settings.base_url):
                session.proxies = {"http": proxy, "https": proxy}
            self._session = session
        return self._session

    def call(self, name: str, /, **params: object) -> Any:
        """Make one call.

        :param name: a method of the API.
        :param params: its parameters, text or whole numbers.
        :return: what stands under ``result``; ``None`` if absent or null. Numbers come as their text.
        :raises AfilnetError: the typed error; :class:`AfilnetOutcomeUnknownError` if it may have been applied.
        """
        call = build_call(name, params)
        with _Untied(), self._answer(call) as response:
            return read_answer(call.method, response.status_code, response.headers, response.content)

    def contacts(self, group_id: str) -> Iterator[ContactRecord]:
        """Stream the contacts of a group in constant memory.

        :raises AfilnetUnprovenReadError: at the end, if ``result`` was absent or null.
        :raises AfilnetError: also after contacts were yielded; only an iteration that ends counts.
        """
        from airflow_provider_afilnet.api.contact_stream import ContactStream

        call = build_call("getcontacts", {"idgroup": group_id})
        with _Untied(), self._answer(call) as response:
            if response.status_code != 200:
                read_answer(call.method, response.status_code, response.headers, response.content)
                return
            stream = ContactStream()
            for chunk in response.iter_content(_SLICE):
                yield from stream.feed(chunk)
            stream.close()

    @contextmanager
    def _answer(self, call: Call) -> Iterator[requests.Response]:
        """Send the call and translate whatever the transport raises, also while the body is read."""
        session = self.session()
        import requests

        outer = sys.exception()
        wire = put_on_wire(self.settings, call)
        timeout = self.settings.timeout
        try:
            with session.request(
                wire.verb,
                wire.url,
                data=wire.body,
                headers=wire.headers,
                timeout=(timeout, timeout),
                allow_redirects=False,
                stream=True,
                auth=_keep_headers,
            ) as response:
                yield response
        except requests.exceptions.RequestException as error:
            raise _error_of_requests(error, outer, call.method, self.settings) from None

    def close(self) -> None:
        """Close the session's connections; the next call opens a new session."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _keep_headers(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """An ``auth`` that does nothing, so that requests never replaces our own Authorization header."""
    return request


def _error_of_requests(
    error: requests.exceptions.RequestException, outer: BaseException | None, method: Method, settings: ClientSettings
) -> AfilnetError:
    """What went wrong, above all whether the call was sent: only then may a write have been applied.

    :param outer: the exception that the caller was already handling, which says nothing about this call.
    """
    from requests import exceptions as above
    from urllib3 import exceptions as below

    if isinstance(error, (above.InvalidURL, above.InvalidProxyURL, above.InvalidSchema)):
        return _unusable_address(method, settings)
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link is not outer:
        chain.append(link)
        link = link.__context__
    if any(isinstance(link, ssl.SSLCertVerificationError) for link in chain):
        return not_sent(method, _TLS_ADVICE, retryable=False)
    never_connected = (below.NewConnectionError, below.ConnectTimeoutError, below.NameResolutionError)
    if isinstance(error, (above.ConnectTimeout, above.ProxyError)) or any(
        isinstance(link, never_connected) or _in_handshake(link) for link in chain
    ):
        return not_sent(method, _UNREACHABLE)
    if any(isinstance(link, below.ReadTimeoutError) for link in chain):
        return lost(method, _too_slow(settings))
    return lost(method, "the connection was closed")


def _in_handshake(error: BaseException) -> bool:
    """Whether TLS was still being set up: the type does not tell, the same ones come after a call was sent."""
    return any(frame.f_code.co_name == "do_handshake" for frame, _ in traceback.walk_tb(error.__traceback__))


class AsyncAfilnetClient:
    """Many calls at once over one aiohttp session of a running event loop. Use it as an async context manager."""

    def __init__(self, settings: ClientSettings) -> None:
        self.settings = settings
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        import aiohttp

        _warn_of_get(self.settings)
        self._proxy = proxy_for(self.settings.base_url)
        secure = self.settings.base_url.startswith("https")
        connector = aiohttp.TCPConnector(
            limit=self.settings.max_connections, ssl=ssl_context(self.settings) if secure else False
        )
        timeout = self.settings.timeout
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=timeout, sock_read=timeout),
            trust_env=False,
        )
        # aiohttp silently repeats a GET whose connection was closed, and in the GET styles a GET may write.
        self._session._retry_connection = False
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def call(self, name: str, /, **params: object) -> Any:
        """Make one call; arguments, result and errors are those of :meth:`AfilnetClient.call`."""
        call = build_call(name, params)
        with _Untied():
            async with self._answer(call) as response:
                return read_answer(call.method, response.status, response.headers, await response.read())

    async def contacts(self, group_id: str) -> AsyncIterator[list[ContactRecord]]:
        """Stream the contacts of a group in batches, in constant memory.

        :raises AfilnetUnprovenReadError: at the end, if ``result`` was absent or null.
        :raises AfilnetError: also after contacts were yielded; only an iteration that ends counts.
        """
        from airflow_provider_afilnet.api.contact_stream import ContactStream

        call = build_call("getcontacts", {"idgroup": group_id})
        with _Untied():
            async with self._answer(call) as response:
                if response.status != 200:
                    read_answer(call.method, response.status, response.headers, await response.read())
                    return
                stream = ContactStream()
                async for chunk in response.content.iter_chunked(_SLICE):
                    if ready := stream.feed(chunk):
                        yield ready
                stream.close()

    @asynccontextmanager
    async def _answer(self, call: Call) -> AsyncIterator[aiohttp.ClientResponse]:
        import aiohttp
        import yarl

        assert self._session is not None, "use the client as an async context manager"
        wire = put_on_wire(self.settings, call)
        try:
            async with self._session.request(
                wire.verb,
                yarl.URL(wire.url, encoded=True),
                data=wire.body,
                headers=wire.headers,
                allow_redirects=False,
                proxy=self._proxy,
            ) as response:
                yield response
        except AfilnetError:
            raise
        except aiohttp.ClientConnectorCertificateError:
            raise not_sent(call.method, _TLS_ADVICE, retryable=False) from None
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientHttpProxyError):
            raise not_sent(call.method, _UNREACHABLE) from None
        except aiohttp.InvalidURL:
            raise _unusable_address(call.method, self.settings) from None
        except TimeoutError:
            raise lost(call.method, _too_slow(self.settings)) from None
        except (aiohttp.ClientError, OSError):
            raise lost(call.method, "the connection was closed") from None
