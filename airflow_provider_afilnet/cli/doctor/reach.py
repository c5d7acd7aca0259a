"""The first steps, which change nothing: the name, the port, TLS, the sign-in, the balance."""

from __future__ import annotations

import socket
import ssl
import time
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from airflow_provider_afilnet.api.answers import read_balance
from airflow_provider_afilnet.api.errors import AfilnetConfigurationError, AfilnetCredentialsError, AfilnetError
from airflow_provider_afilnet.api.network import proxy_for, ssl_context
from airflow_provider_afilnet.api.settings import ClientSettings
from airflow_provider_afilnet.cli.doctor.console import Console
from airflow_provider_afilnet.cli.doctor.visit import Visit

_LONGEST_WAIT: Final = 15.0
_UNKNOWN_METHOD: Final = "doctorasks"


class _Address(NamedTuple):
    """One address that a connection names: ``field`` says where in it, in the words of a sentence."""

    url: str
    field: str

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def is_secure(self) -> bool:
        return urlsplit(self.url).scheme == "https"

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or (443 if self.is_secure else 80)


def _addresses(settings: ClientSettings) -> list[_Address]:
    """Every server that the connection names for its style, the one that takes the calls first; none of them twice."""
    extras = {"soap": ("wsdl_url",), "json": ("json_url", "token_url")}.get(settings.style, ())
    named = [_Address(getattr(settings, name), f"the connection's extra {name!r}") for name in extras]
    found: dict[object, _Address] = {}
    for one in named or [_Address(settings.base_url, "host and port of the connection")]:
        found.setdefault((one.host, one.port, one.is_secure), one)
    return list(found.values())


def reach(settings: ClientSettings, console: Console) -> bool:
    """Whether there are servers that speak TLS, where TLS is wanted; says what is wrong with the first that is not."""
    return all(_reach(address, settings, console) for address in _addresses(settings))


def _reach(address: _Address, settings: ClientSettings, console: Console) -> bool:
    host, port = address.host, address.port
    if proxy_for(address.url):
        console.observed("reachability", f"{host} is called through the proxy that the environment names.")
        return True
    started = time.monotonic()
    wait = min(settings.timeout, _LONGEST_WAIT)
    try:
        line = socket.create_connection((host, port), timeout=wait)
    except OSError as error:
        console.failed("reachability", _unreachable(error, address, wait))
        return False
    with line:
        console.ok("reachability", f"{host}, port {port}, answered in {(time.monotonic() - started) * 1000:.0f} ms.")
        if not address.is_secure:
            console.observed("TLS", "not used: the address begins with http, so the sign-in travels unencrypted.")
            return True
        return _secure(line, address, settings, console)


def _unreachable(error: OSError, address: _Address, wait: float) -> str:
    host, port, check = address.host, address.port, f"check {address.field}"
    if isinstance(error, socket.gaierror):
        return f"the name {host!r} cannot be resolved; {check}, and this machine's network."
    if isinstance(error, ConnectionRefusedError):
        return f"nothing listens on port {port} of {host}; {check}."
    if isinstance(error, TimeoutError):
        return f"{host} did not answer on port {port} for {wait:g} s; {check}, and firewalls between."
    return (
        f"{host}, port {port}, cannot be reached ({error.strerror or type(error).__name__}); {check}, and the network."
    )


def _secure(line: socket.socket, address: _Address, settings: ClientSettings, console: Console) -> bool:
    host, port = address.host, address.port
    try:
        with ssl_context(settings).wrap_socket(line, server_hostname=host) as secure:
            certificate = secure.getpeercert() or {}
            until = certificate.get("notAfter")
            console.ok("TLS", f"{secure.version()}; the certificate is trusted and valid until {until}.")
            return True
    except AfilnetConfigurationError as error:
        console.failed("TLS", str(error))
    except ssl.SSLCertVerificationError as error:
        console.failed(
            "TLS",
            f"the certificate of {host} is not trusted ({error.verify_message.rstrip('.')}); check {address.field}, or "
            "name your authority's PEM file in the connection's extra 'ca_bundle'.",
        )
    except TimeoutError:
        console.failed("TLS", f"{host} said nothing on port {port} when TLS began; is it a TLS port?")
    except OSError:  # of which ssl.SSLError is one
        console.failed(
            "TLS",
            f"{host} does not speak TLS on port {port}; check {address.field}, or begin the address with http:// if "
            "it is a server on this machine.",
        )
    return False


def sign_in(visit: Visit) -> bool:
    """Whether user and password, or the OAuth client, are right and the balance can be read."""
    settings = visit.observer.client.settings
    try:
        reply = visit.observer.once("getbalance")
        if not reply.ok:
            visit.console.failed(
                "sign-in", f"getbalance was refused with {reply.code}; is {_subject(settings)} an Afilnet API?"
            )
            return False
        by_client = settings.style == "json" and settings.grant_type == "client_credentials"
        who = "the OAuth client is accepted" if by_client else "user and password are right"
        visit.console.ok("sign-in", f"{who} (api_style {settings.style}).")
        read_balance(reply.result)
    except AfilnetCredentialsError as error:
        visit.console.failed("sign-in", str(error))
        return False
    except AfilnetError as error:
        visit.console.failed("sign-in", f"{str(error).rstrip('.')}{_way_out(str(error), settings)}.")
        return False
    visit.console.ok("balance", f"it can be read: {reply.form}.")
    visit.findings.settle("balance_form", reply.form, f"{reply.form}; it was understood.")
    return True


def _subject(settings: ClientSettings) -> str:
    return {"soap": "what the extra 'wsdl_url' names", "json": "what the extra 'json_url' names"}.get(
        settings.style, "the host"
    )


def _way_out(text: str, settings: ClientSettings) -> str:
    """What to check, where the error itself does not say it."""
    if settings.style not in ("soap", "json"):
        return "" if "host" in text else "; check that the connection's host is an Afilnet API"
    if "_url'" in text or "pip install" in text:
        return ""
    extra = "wsdl_url" if settings.style == "soap" else "token_url" if "token" in text else "json_url"
    return f"; check the connection's extra {extra!r}"


def ask_codes(visit: Visit) -> None:
    """What an unknown method and an unknown class answer, and how status words are written."""
    for question, method, api_class in (
        ("unknown_method", _UNKNOWN_METHOD, "group"),
        ("unknown_class", "getbalance" + _UNKNOWN_METHOD, _UNKNOWN_METHOD),
    ):
        try:
            reply = visit.observer.once(method, **{"class": api_class})
        except AfilnetError as error:
            visit.findings.leave(question, f"The probe failed: {error}")
        else:
            visit.settle_question(question, reply.code or "success", f"{reply}.")
    tell_words(visit)


def tell_words(visit: Visit) -> None:
    """How the status words that were seen are written."""
    words = visit.observer.words
    if not words:
        visit.findings.leave("status_words", "Could not be told: the style wraps them in something else than JSON.")
        return
    forms = {
        "upper": all(word.isupper() for word in words),
        "lower": all(word.islower() for word in words),
    }
    form = next((name for name, fits in forms.items() if fits), "mixed")
    visit.settle_question("status_words", form, f"{', '.join(sorted(words))}.")
