"""The ways to put a call on the wire. Pure functions: settings and a call in, a request out."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from airflow_provider_afilnet import __version__
from airflow_provider_afilnet.api.calls import Call
from airflow_provider_afilnet.api.errors import AfilnetTooLargeError
from airflow_provider_afilnet.api.settings import ClientSettings

if TYPE_CHECKING:
    from airflow_provider_afilnet.api.soap import SoapBinding

GET_LIMIT = 4000
"""Longest GET request in characters, as the vendor's documents say (contract: ways to call it)."""

USER_AGENT: Final = f"airflow-provider-afilnet/{__version__}"


@dataclass(frozen=True, slots=True)
class WireRequest:
    """An HTTP request, complete. It may hold the password and people, so ``repr`` shows only the verb."""

    verb: str
    url: str = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)


def put_on_wire(settings: ClientSettings, call: Call, binding: SoapBinding | None = None) -> WireRequest:
    """Write the call in the style of the settings (contract: ways to call it).

    ``post``, ``get`` and ``soap`` carry user and password among the parameters, ``basic`` and ``basic-get`` in the
    header; to a ``json`` request the client adds its token.

    :param binding: what the WSDL says; for ``soap`` only.
    :raises AfilnetTooLargeError: if a GET request would be longer than :data:`GET_LIMIT`.
    :raises AfilnetError: what :meth:`SoapBinding.envelope` raises.
    """
    if settings.style == "soap":
        assert binding is not None, "a SOAP call needs its WSDL"
        own, envelope = binding.envelope(settings, call)
        return WireRequest("POST", binding.address, {"Accept": "*/*", "User-Agent": USER_AGENT, **own}, envelope)
    params = {"class": call.method.api_class, "method": call.method.name}
    headers = {"Accept": "application/json", "User-Agent": USER_AGENT}
    if settings.style == "json":
        assert settings.json_url is not None
        headers["Content-Type"] = "application/json; charset=utf-8"
        body = json.dumps({**params, **call.params}, ensure_ascii=False, separators=(",", ":"))
        return WireRequest("POST", settings.json_url, headers, body.encode())
    if settings.style in ("basic", "basic-get"):
        path = "/api/basic/"
        pair = f"{settings.user}:{settings.password}".encode()
        headers["Authorization"] = "Basic " + base64.b64encode(pair).decode("ascii")
    else:
        path = "/api/http/"
        params |= {"user": settings.user, "password": settings.password}
    encoded = "&".join(f"{quoted(name)}={quoted(value)}" for name, value in {**params, **call.params}.items())
    url = settings.base_url + path
    if settings.style in ("get", "basic-get"):
        url = f"{url}?{encoded}"
        if len(url) > GET_LIMIT:
            raise AfilnetTooLargeError(
                f"{call.method.name} makes a GET request of {len(url)} characters, above the API's limit of "
                f"{GET_LIMIT}; set the connection's api_style to 'post' (or 'basic').",
                method=call.method.name,
            )
        return WireRequest("GET", url, headers, None)
    headers["Content-Type"] = "application/x-www-form-urlencoded; charset=utf-8"
    return WireRequest("POST", url, headers, encoded.encode("ascii"))


_UNRESERVED: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~ "


def quoted(text: str) -> str:
    """Percent-encode for a form, with the result of ``urllib.parse.quote_plus``, which goes byte by byte.

    A list of 500 contacts is 100,000 bytes, but holds few different ones that must be encoded.
    """
    if text.isalnum() and text.isascii():
        return text
    data = text.encode()
    found = set(data.translate(None, _UNRESERVED))
    for byte in sorted(found, key=lambda byte: byte != 0x25):  # the percent sign first
        data = data.replace(b"%c" % byte, b"%%%02X" % byte)
    return data.replace(b" ", b"+").decode("ascii")


def encoded_length(settings: ClientSettings, text: str) -> int:
    """Bytes that ``text`` takes inside a parameter of a request; for ``soap``, where the WSDL decides, at most."""
    if settings.style not in ("json", "soap"):
        data = text.encode()
        return len(data) + 2 * len(data.translate(None, _UNRESERVED))
    in_json = json.dumps(text, ensure_ascii=False)[1:-1]
    if settings.style == "soap":
        in_json = in_json.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return len(in_json.encode())
