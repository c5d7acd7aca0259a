"""What both clients share below HTTP: proxies, certificates, and keeping secrets out of a library's debug log."""

from __future__ import annotations

import logging
import os
import ssl
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from airflow_provider_afilnet.api.errors import AfilnetConfigurationError
from airflow_provider_afilnet.api.settings import ClientSettings, is_host_name, is_loopback


def proxy_for(base_url: str) -> str | None:
    """The proxy that the environment names for this address; loopback never goes through one.

    Both clients get it from here instead of trusting the environment on their own: they would differ, and both would
    also take passwords from ``~/.netrc`` and put them over ours.
    """
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    if is_loopback(host) or proxy_bypass(host):
        return None
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy:
        return None
    # Without a scheme it means http, as for curl; aiohttp would refuse it.
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    try:
        target = urlsplit(proxy)
        usable = target.scheme in ("http", "https") and is_host_name(target.hostname or "") and target.port != 0
    except ValueError:
        usable = False
    if not usable:
        # Its text may hold a password.
        raise AfilnetConfigurationError(
            f"The proxy that the environment names for {parts.scheme} cannot be used; it must be like "
            "http://proxy.example:3128 (SOCKS is not supported). NO_PROXY can exempt the connection's host."
        )
    return proxy


def certificate_file(settings: ClientSettings) -> str:
    """The PEM file of certificate authorities to trust: the connection's ``ca_bundle``, or certifi's."""
    if settings.ca_bundle is None:
        import certifi

        return certifi.where()
    if not os.path.isfile(settings.ca_bundle):
        raise AfilnetConfigurationError(
            f"The connection's extra 'ca_bundle' names {settings.ca_bundle!r}, which is not a file on this machine."
        )
    try:
        ssl.create_default_context(cafile=settings.ca_bundle)
    except OSError:  # of which ssl.SSLError is one
        raise AfilnetConfigurationError(
            f"The connection's extra 'ca_bundle' names {settings.ca_bundle!r}, which holds no readable PEM "
            "certificates."
        ) from None
    return settings.ca_bundle


def ssl_context(settings: ClientSettings) -> ssl.SSLContext:
    """A verifying TLS context over :func:`certificate_file`."""
    return ssl.create_default_context(cafile=certificate_file(settings))


class _NoSecretsInUrls(logging.Filter):
    """urllib3 logs every URL at DEBUG, and zeep those of a WSDL.

    The GET styles carry contacts in it, and one of them the password; the query of any other may hold a key.
    """

    def __init__(self) -> None:
        super().__init__()
        self.targets: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        return "?class=" not in text and not any(target in text for target in self.targets)


_FILTER = _NoSecretsInUrls()
_LOGGERS = ("urllib3.connectionpool", "zeep.wsdl.wsdl", "zeep.xsd.schema")


def keep_url_out_of_logs(url: str) -> None:
    """Drop the libraries' debug lines that hold this URL's query, or the URL of a GET call.

    :param url: the URL, or its part from the path on, as it is sent.
    """
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_FILTER)
    parts = urlsplit(url)
    # Those of GET calls are all different, and known by how they begin.
    if parts.query and not parts.query.startswith("class="):
        _FILTER.targets.add(f"{parts.path}?{parts.query}")
