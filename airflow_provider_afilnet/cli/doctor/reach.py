"""The first steps, which change nothing: the name, the port, TLS, the sign-in, the balance."""

from __future__ import annotations

import socket
import ssl
import time
from typing import Final
from urllib.parse import urlsplit

from airflow_provider_afilnet.api.answers import read_balance
from airflow_provider_afilnet.api.errors import AfilnetConfigurationError, AfilnetCredentialsError, AfilnetError
from airflow_provider_afilnet.api.network import proxy_for, ssl_context
from airflow_provider_afilnet.api.settings import ClientSettings
from airflow_provider_afilnet.cli.doctor.console import Console
from airflow_provider_afilnet.cli.doctor.visit import Visit

_LONGEST_WAIT: Final = 15.0
_UNKNOWN_METHOD: Final = "doctorasks"


def reach(settings: ClientSettings, console: Console) -> bool:
    """Whether there is a server that speaks TLS, where TLS is wanted; says what is wrong where not."""
    parts = urlsplit(settings.origin)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    if proxy_for(settings.origin):
        console.observed("reachability", f"{host} is called through the proxy that the environment names.")
        return True
    started = time.monotonic()
    wait = min(settings.timeout, _LONGEST_WAIT)
    try:
        line = socket.create_connection((host, port), timeout=wait)
    except OSError as error:
        console.failed("reachability", _unreachable(error, host, port, wait))
        return False
    with line:
        console.ok("reachability", f"{host}, port {port}, answered in {(time.monotonic() - started) * 1000:.0f} ms.")
        if parts.scheme != "https":
            console.observed("TLS", "not used: the connection says http, so the password travels unencrypted.")
            return True
        return _secure(line, host, port, settings, console)


def _unreachable(error: OSError, host: str, port: int, wait: float) -> str:
    if isinstance(error, socket.gaierror):
        return f"the name {host!r} cannot be resolved; check the connection's host, and this machine's network."
    if isinstance(error, ConnectionRefusedError):
        return f"nothing listens on port {port} of {host}; check host and port of the connection."
    if isinstance(error, TimeoutError):
        return f"{host} did not answer on port {port} for {wait:g} s; check host and port, and firewalls between."
    return f"{host}, port {port}, cannot be reached ({error.strerror or type(error).__name__}); check the network."


def _secure(line: socket.socket, host: str, port: int, settings: ClientSettings, console: Console) -> bool:
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
            f"the certificate of {host} is not trusted ({error.verify_message.rstrip('.')}); check the host, or name "
            "your authority's PEM file in the connection's extra 'ca_bundle'.",
        )
    except TimeoutError:
        console.failed("TLS", f"{host} said nothing on port {port} when TLS began; is it a TLS port?")
    except OSError:  # of which ssl.SSLError is one
        console.failed(
            "TLS",
            f"{host} does not speak TLS on port {port}; give the right port, or an address with http:// if it is a "
            "server on this machine.",
        )
    return False


def sign_in(visit: Visit) -> bool:
    """Whether user and password are right and the balance can be read."""
    try:
        reply = visit.observer.once("getbalance")
        if not reply.ok:
            visit.console.failed("sign-in", f"getbalance was refused with {reply.code}; is the host an Afilnet API?")
            return False
        visit.console.ok("sign-in", f"user and password are right (api_style {visit.observer.client.settings.style}).")
        read_balance(reply.result)
    except AfilnetCredentialsError as error:
        visit.console.failed("sign-in", str(error))
        return False
    except AfilnetError as error:
        text = str(error).rstrip(".")
        hint = "" if "host" in text else "; check that the connection's host is an Afilnet API"
        visit.console.failed("sign-in", f"{text}{hint}.")
        return False
    visit.console.ok("balance", f"it can be read: {reply.form}.")
    visit.findings.settle("balance_form", reply.form, f"{reply.form}; it was understood.")
    return True


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
