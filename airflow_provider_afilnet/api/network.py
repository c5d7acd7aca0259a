"""What both clients share below HTTP: proxies, certificates, and keeping secrets out of a library's debug log."""

from __future__ import annotations

import logging
import os
import ssl
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from airflow_provider_afilnet.api.errors import AfilnetConfigurationError
from airflow_provider_afilnet.api.settings import ClientSettings, is_loopback


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
    return proxies.get(parts.scheme) or proxies.get("all")


def certificate_file(settings: ClientSettings) -> str:
    """The PEM file of certificate authorities to trust: the connection's ``ca_bundle``, or certifi's."""
    if settings.ca_bundle is None:
        import certifi

        return certifi.where()
    if not os.path.isfile(settings.ca_bundle):
        raise AfilnetConfigurationError(
            f"The connection's extra 'ca_bundle' names {settings.ca_bundle!r}, which is not a file on this machine."
        )
    return settings.ca_bundle


def ssl_context(settings: ClientSettings) -> ssl.SSLContext:
    """A verifying TLS context over :func:`certificate_file`."""
    cafile = certificate_file(settings)
    try:
        return ssl.create_default_context(cafile=cafile)
    except ssl.SSLError:
        raise AfilnetConfigurationError(
            f"The connection's extra 'ca_bundle' names {cafile!r}, which holds no readable PEM certificates."
        ) from None


class _NoSecretsInUrls(logging.Filter):
    """urllib3 logs every URL at DEBUG, and the GET style carries the password in it."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "password=" not in record.getMessage()


_FILTER = _NoSecretsInUrls()


def keep_urls_out_of_logs() -> None:
    """Drop urllib3's debug lines that hold a password; calling it again changes nothing."""
    logging.getLogger("urllib3.connectionpool").addFilter(_FILTER)
