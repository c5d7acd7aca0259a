"""What the tests of the API floor need to know of each style: its settings, and what a bare server must add for it."""

from __future__ import annotations

import json
import re
from typing import Any
from xml.sax.saxutils import escape

from airflow_provider_afilnet.api.settings import ClientSettings
from airflow_provider_afilnet.sandbox import Dialect
from airflow_provider_afilnet.sandbox.soap import wsdl

CLIENT_ID, CLIENT_SECRET = "the-client", "the-cl1ent-s3cret"
TOKEN = "bearer-t0ken-of-the-bare-server"


def style_fields(url: str, style: str) -> dict[str, Any]:
    """What the settings of a style need besides user, password and base URL, for a server at ``url``."""
    if style == "soap":
        return {"wsdl_url": f"{url}/soap?wsdl"}
    if style == "json":
        addresses = {"json_url": f"{url}/api/json/", "token_url": f"{url}/oauth/token"}
        return {**addresses, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    return {}


def make_settings(url: str, style: str = "post", **more: Any) -> ClientSettings:
    """Settings of any style for a server at ``url``."""
    given = {"user": "demo", "password": "demo", "base_url": url, "style": style, "timeout": 5}
    return ClientSettings(**{**given, **style_fields(url, style), **more})


def preparation(line: str, url: str) -> bytes | None:
    """The answer to what a client asks before its first call; ``None`` if this is no such request."""
    if line.startswith("GET /soap?wsdl "):
        return http_answer(wsdl(Dialect(), f"{url}/soap"), "text/xml")
    if line.startswith("POST /oauth/token "):
        return http_answer(json.dumps({"access_token": TOKEN, "token_type": "bearer"}), "application/json")
    return None


def http_answer(body: str, kind: str) -> bytes:
    encoded = body.encode()
    return f"HTTP/1.1 200 X\r\nContent-Length: {len(encoded)}\r\nContent-Type: {kind}\r\n\r\n".encode() + encoded


def in_envelope(answer: bytes) -> bytes:
    """The same answer as SOAP: a JSON body goes into an envelope. One that stops too early still does."""
    head, _, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"Content-Length: (\d+)", head)
    if not length or b"application/json" not in head or not body:
        return answer
    missing = int(length[1]) - len(body)
    start = '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><answer><return>'
    end = "</return></answer></e:Body></e:Envelope>"
    whole = (start + escape(body.decode()) + end).encode()
    head = head.replace(length[0], b"Content-Length: %d" % len(whole)).replace(b"application/json", b"text/xml")
    return head + b"\r\n\r\n" + whole[: len(whole) - missing]
