"""Two thin clients, synchronous (requests) and asynchronous (aiohttp), around the same pure functions.

What a style needs before its first call, a WSDL or a token, is fetched by the same code that sends calls, and kept.
Neither follows redirects, keeps cookies, repeats a call or reads credentials from anywhere but its settings. A call
either returns its result or raises one typed error whose message holds no secret and no person. The HTTP libraries are
imported when a client is used, not before.
"""

from __future__ import annotations

import asyncio
import copy
import importlib
import logging
import ssl
import sys
import threading
import time
import traceback
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from airflow_provider_afilnet.api.answers import ContactRecord, lost, not_sent, read_answer
from airflow_provider_afilnet.api.calls import Call, build_call
from airflow_provider_afilnet.api.errors import AfilnetConfigurationError, AfilnetError
from airflow_provider_afilnet.api.methods import Method
from airflow_provider_afilnet.api.network import certificate_file, keep_url_out_of_logs, proxy_for, ssl_context
from airflow_provider_afilnet.api.oauth import TokenCache, read_token, token_request
from airflow_provider_afilnet.api.settings import ClientSettings
from airflow_provider_afilnet.api.styles import WireRequest, put_on_wire

if TYPE_CHECKING:
    import aiohttp
    import requests

    from airflow_provider_afilnet.api.contact_slices import ContactTable
    from airflow_provider_afilnet.api.soap import SoapBinding

T = TypeVar("T")
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
    elif settings.style == "basic-get":
        log.warning("api_style 'basic-get' sends contacts in the URL, where logs and caches keep them; use 'basic'.")


def _unusable_address(method: Method, settings: ClientSettings) -> AfilnetError:
    return AfilnetConfigurationError(
        f"{method.name} was not sent: an address at {settings.origin!r} (or the proxy of the environment) cannot be "
        "used; check the connection's host, or the addresses among its extras.",
        method=method.name,
    )


_TOKEN = Method("the token request", "oauth", (), frozenset(), writes=False, repeatable=True)
_WSDL = Method("the request for the WSDL", "soap", (), frozenset(), writes=False, repeatable=True)
"""What is sent before a call is no method of the API, but may fail on the line as one that writes nothing."""


def _authorized(wire: WireRequest, token: str) -> WireRequest:
    return replace(wire, headers={**wire.headers, "Authorization": f"Bearer {token}"})


def _told_of(error: AfilnetError, method: Method) -> AfilnetError:
    """The error of a preparation that several calls may have waited for, as one of them tells it."""
    mine = copy.copy(error)
    mine.method = method.name
    return mine


def _timed_out(error: AfilnetError) -> AfilnetError:
    error.timed_out = True
    return error


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
        self._binding: SoapBinding | None = None
        self._tokens = TokenCache()
        self._preparing = threading.Lock()
        self._certificates: str | None = None

    def session(self) -> requests.Session:
        """The session, made at first use: no redirects, retries, cookies or environment credentials."""
        if self._session is None:
            from http.cookiejar import DefaultCookiePolicy

            import requests
            from requests.adapters import HTTPAdapter

            _warn_of_get(self.settings)
            session = requests.Session()
            session.trust_env = False
            session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
            session.headers.clear()
            adapter = HTTPAdapter(pool_maxsize=self.settings.max_connections, max_retries=0)
            session.mount("https://", adapter)
            session.mount("http://", adapter)
            session.verify = self._verify(self.settings.origin)
            if proxy := proxy_for(self.settings.origin):
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
            read = self._binding.read_answer if self._binding else read_answer
            return read(call.method, response.status_code, response.headers, response.content)

    def contacts(self, group_id: str) -> Iterator[ContactRecord]:
        """Stream the contacts of a group in constant memory.

        :raises AfilnetUnprovenReadError: at the end, if ``result`` was absent or null.
        :raises AfilnetError: also after contacts were yielded; only an iteration that ends counts.
        """
        from airflow_provider_afilnet.api.contact_stream import ContactStream

        call = build_call("getcontacts", {"idgroup": group_id})
        with _Untied(), self._answer(call) as response:
            if response.status_code != 200:
                read = self._binding.read_answer if self._binding else read_answer
                read(call.method, response.status_code, response.headers, response.content)
                return
            envelope = self._binding.reader(call.method, 200, response.headers) if self._binding else None
            stream = ContactStream(envelope)
            for chunk in response.iter_content(_SLICE):
                for table in stream.feed(chunk):
                    yield from table.records()
            for table in stream.close():
                yield from table.records()

    @contextmanager
    def _answer(self, call: Call) -> Iterator[requests.Response]:
        """Send the call, with what its style needs."""
        style = self.settings.style
        if style == "soap" and self._binding is None:
            self._binding = self._prepare(call.method, self._read_wsdl)
        wire = put_on_wire(self.settings, call, self._binding)
        if style != "json":
            with self._sent(wire, call.method) as response:
                yield response
            return
        token = self._token(call.method)
        with self._sent(_authorized(wire, token), call.method) as response:
            if response.status_code != 401:
                yield response
                return
        # A refused token means that nothing was looked at, let alone applied.
        token = self._token(call.method, refused=token)
        with self._sent(_authorized(wire, token), call.method) as response:
            yield response

    @contextmanager
    def _sent(self, wire: WireRequest, method: Method) -> Iterator[requests.Response]:
        """Send one request and translate whatever the transport raises, also while the body is read."""
        session = self.session()
        import requests

        outer = sys.exception()
        timeout = self.settings.timeout
        proxy = proxy_for(wire.url) or ""
        verify = self._verify(wire.url)
        try:
            with session.request(
                wire.verb,
                wire.url,
                data=wire.body,
                headers=wire.headers,
                timeout=(timeout, timeout),
                allow_redirects=False,
                stream=True,
                auth=_as_written,
                proxies={"http": proxy, "https": proxy},
                verify=verify,
            ) as response:
                yield response
        except requests.exceptions.RequestException as error:
            raise _error_of_requests(error, outer, method, self.settings) from None

    def _verify(self, url: str) -> str | bool:
        """What requests shall check a certificate against."""
        if not url.startswith("https"):
            return True
        if self._certificates is None:
            self._certificates = certificate_file(self.settings)
        return self._certificates

    def _prepare(self, method: Method, work: Callable[[], T]) -> T:
        """Do once what calls of several threads may wait for."""
        with self._preparing:
            try:
                return work()
            except AfilnetError as error:
                raise _told_of(error, method) from None

    def _fetched(self, wire: WireRequest, method: Method) -> tuple[int, Mapping[str, str], bytes]:
        with self._sent(wire, method) as response:
            return response.status_code, response.headers, response.content

    def _read_wsdl(self) -> SoapBinding:
        from airflow_provider_afilnet.api.soap import DocumentMissingError, SoapBinding, read_document, wsdl_request

        if self._binding is not None:
            return self._binding
        documents: dict[str, bytes] = {}
        url = self.settings.wsdl_url or ""
        while True:
            documents[url] = read_document(_WSDL, *self._fetched(wsdl_request(url), _WSDL))
            try:
                return SoapBinding.read(self.settings, _WSDL, documents)
            except DocumentMissingError as missing:
                url = missing.url

    def _token(self, method: Method, refused: str | None = None) -> str:
        return self._tokens.current(refused) or self._prepare(method, lambda: self._new_token(refused))

    def _new_token(self, refused: str | None) -> str:
        # Another thread may have brought one while this one waited.
        if token := self._tokens.current(refused):
            return token
        while True:
            asked_at = time.monotonic()
            wire = token_request(self.settings, _TOKEN, client_in_body=self._tokens.client_in_body)
            answer = self._fetched(wire, _TOKEN)
            if not self._tokens.try_in_body(self.settings, *answer):
                return self._tokens.keep(*read_token(self.settings, _TOKEN, *answer), asked_at)

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


def _as_written(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """An ``auth`` that changes nothing, so that requests never replaces our own Authorization header."""
    keep_url_out_of_logs(request.path_url)
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
    """Many calls at once over one aiohttp session of a running event loop. Use it as an async context manager.

    The loop may be a triggerer's, whose other work must not wait: what takes longer than a moment and waits for no
    answer (imports, certificates, a WSDL) is done in a thread.
    """

    def __init__(self, settings: ClientSettings) -> None:
        self.settings = settings
        self._session: aiohttp.ClientSession | None = None
        self._binding: SoapBinding | None = None
        self._tokens = TokenCache()
        self._preparing: asyncio.Task[Any] | None = None
        self._context: ssl.SSLContext | None = None
        self._certificates = asyncio.Lock()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(importlib.import_module, "aiohttp")
        import aiohttp

        _warn_of_get(self.settings)
        timeout = self.settings.timeout
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self.settings.max_connections),
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
        if self._preparing is not None:
            self._preparing.cancel()
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def call(self, name: str, /, **params: object) -> Any:
        """Make one call; arguments, result and errors are those of :meth:`AfilnetClient.call`."""
        call = build_call(name, params)
        with _Untied():
            async with self._answer(call) as response:
                read = self._binding.read_answer if self._binding else read_answer
                return read(call.method, response.status, response.headers, await response.read())

    async def contacts(self, group_id: str) -> AsyncGenerator[ContactRecord, None]:
        """Stream the contacts of a group, as :meth:`AfilnetClient.contacts` does."""
        async with aclosing(self.contact_tables(group_id)) as tables:
            async for table in tables:
                for record in table.records():
                    yield record

    async def contact_tables(self, group_id: str) -> AsyncGenerator[ContactTable, None]:
        """Stream the contacts of a group in tables, in constant memory.

        :raises AfilnetUnprovenReadError: at the end, if ``result`` was absent or null.
        :raises AfilnetError: also after contacts were yielded; only an iteration that ends counts.
        """
        from airflow_provider_afilnet.api.contact_stream import ContactStream

        call = build_call("getcontacts", {"idgroup": group_id})
        with _Untied():
            async with self._answer(call) as response:
                if response.status != 200:
                    read = self._binding.read_answer if self._binding else read_answer
                    read(call.method, response.status, response.headers, await response.read())
                    return
                envelope = self._binding.reader(call.method, 200, response.headers) if self._binding else None
                stream = ContactStream(envelope)
                async for chunk in response.content.iter_chunked(_SLICE):
                    for table in stream.feed(chunk):
                        yield table
                for table in stream.close():
                    yield table

    def wire_length(self, name: str, /, **params: object) -> int:
        """How long a request would be: characters of the address of a GET, bytes of any other request's body.

        For style ``soap`` a call must have been made before: the WSDL decides.

        :raises AfilnetError: what makes the request impossible.
        """
        wire = put_on_wire(self.settings, build_call(name, params), self._binding)
        return len(wire.url) if wire.body is None else len(wire.body)

    @asynccontextmanager
    async def _answer(self, call: Call) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send the call, with what its style needs."""
        style = self.settings.style
        if style == "soap" and self._binding is None:
            self._binding = await self._prepare(call.method, self._read_wsdl)
        wire = put_on_wire(self.settings, call, self._binding)
        if style != "json":
            async with self._sent(wire, call.method) as response:
                yield response
            return
        token = await self._token(call.method)
        async with self._sent(_authorized(wire, token), call.method) as response:
            if response.status != 401:
                yield response
                return
        # A refused token means that nothing was looked at, let alone applied.
        token = await self._token(call.method, refused=token)
        async with self._sent(_authorized(wire, token), call.method) as response:
            yield response

    @asynccontextmanager
    async def _sent(self, wire: WireRequest, method: Method) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send one request and translate whatever the transport raises, also while the body is read."""
        import aiohttp
        import yarl

        assert self._session is not None, "use the client as an async context manager"
        try:
            async with self._session.request(
                wire.verb,
                yarl.URL(wire.url, encoded=True),
                data=wire.body,
                headers=wire.headers,
                allow_redirects=False,
                proxy=proxy_for(wire.url),
                ssl=await self._tls(wire.url),
            ) as response:
                yield response
        except AfilnetError:
            raise
        except aiohttp.ClientConnectorCertificateError:
            raise not_sent(method, _TLS_ADVICE, retryable=False) from None
        except aiohttp.ConnectionTimeoutError:
            raise _timed_out(not_sent(method, _UNREACHABLE)) from None
        except (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError):
            raise not_sent(method, _UNREACHABLE) from None
        except aiohttp.InvalidURL:
            raise _unusable_address(method, self.settings) from None
        except TimeoutError:
            raise _timed_out(lost(method, _too_slow(self.settings))) from None
        except (aiohttp.ClientError, OSError):
            raise lost(method, "the connection was closed") from None

    async def _tls(self, url: str) -> ssl.SSLContext | bool:
        """What aiohttp shall check a certificate against."""
        if not url.startswith("https"):
            return True
        if self._context is None:
            async with self._certificates:
                if self._context is None:
                    self._context = await asyncio.to_thread(ssl_context, self.settings)
        return self._context

    async def _prepare(self, method: Method, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Do once what parallel calls wait for; they share its failure too, or each would wait out a time-out."""
        if self._preparing is None:
            self._preparing = asyncio.ensure_future(work())
            self._preparing.add_done_callback(self._prepared)
        try:
            # Shielded, because the others still wait for it when one of the calls is cancelled.
            return await asyncio.shield(self._preparing)
        except AfilnetError as error:
            raise _told_of(error, method) from None

    def _prepared(self, done: asyncio.Task[Any]) -> None:
        self._preparing = None
        if not done.cancelled():
            done.exception()  # all who waited for it may be gone

    async def _fetched(self, wire: WireRequest, method: Method) -> tuple[int, Mapping[str, str], bytes]:
        async with self._sent(wire, method) as response:
            return response.status, response.headers, await response.read()

    async def _read_wsdl(self) -> SoapBinding:
        await asyncio.to_thread(importlib.import_module, "airflow_provider_afilnet.api.soap")
        from airflow_provider_afilnet.api.soap import DocumentMissingError, SoapBinding, read_document, wsdl_request

        documents: dict[str, bytes] = {}
        url = self.settings.wsdl_url or ""
        while True:
            documents[url] = read_document(_WSDL, *await self._fetched(wsdl_request(url), _WSDL))
            try:
                return await asyncio.to_thread(SoapBinding.read, self.settings, _WSDL, documents)
            except DocumentMissingError as missing:
                url = missing.url

    async def _token(self, method: Method, refused: str | None = None) -> str:
        return self._tokens.current(refused) or str(await self._prepare(method, self._new_token))

    async def _new_token(self) -> str:
        while True:
            asked_at = time.monotonic()
            wire = await asyncio.to_thread(
                token_request, self.settings, _TOKEN, client_in_body=self._tokens.client_in_body
            )
            answer = await self._fetched(wire, _TOKEN)
            if not self._tokens.try_in_body(self.settings, *answer):
                return self._tokens.keep(*read_token(self.settings, _TOKEN, *answer), asked_at)
