"""How a call is put on the wire."""

from __future__ import annotations

import base64
from urllib.parse import parse_qs, quote_plus, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_afilnet.api.calls import build_call
from airflow_provider_afilnet.api.errors import AfilnetTooLargeError
from airflow_provider_afilnet.api.settings import STYLES as ALL_STYLES
from airflow_provider_afilnet.api.settings import ClientSettings
from airflow_provider_afilnet.api.styles import GET_LIMIT, WireRequest, encoded_length, put_on_wire, quoted

# Those whose parameters are a query; the other two have tests of their own.
STYLES = [style for style in ALL_STYLES if style not in ("soap", "json")]
USER, PASSWORD = "ana@example.com", "p&=s%+ ñ😀/:"
NASTY = "a&b=c%41+d e\r\n\tñ😀#?;/\\\"'ÿ\u200b"


def wire(style: str, name: str = "getbalance", **params: object) -> WireRequest:
    return put_on_wire(ClientSettings(USER, PASSWORD, "https://h.example:8443", style), build_call(name, params))


def sent(request: WireRequest) -> dict[str, str]:
    text = urlsplit(request.url).query if request.body is None else request.body.decode("ascii")
    return {name: values[0] for name, values in parse_qs(text, strict_parsing=True).items() if len(values) == 1}


@pytest.mark.parametrize("style", STYLES)
def test_style(style: str) -> None:
    request = wire(style, "addcolumntogroup", idgroup=1, field=NASTY)
    own = {"class": "group", "method": "addcolumntogroup", "idgroup": "1", "field": NASTY}
    in_header = style.startswith("basic")
    assert sent(request) == (own if in_header else own | {"user": USER, "password": PASSWORD})
    assert request.url.startswith(f"https://h.example:8443/api/{'basic' if in_header else 'http'}/")
    is_get = style.endswith("get")
    assert (request.verb, request.body is None) == (("GET", True) if is_get else ("POST", False))
    if is_get:
        assert "Content-Type" not in request.headers
    else:
        assert urlsplit(request.url).query == ""
        assert request.headers["Content-Type"].startswith("application/x-www-form-urlencoded")
    if in_header:
        kind, _, token = request.headers["Authorization"].partition(" ")
        assert (kind, base64.b64decode(token).decode()) == ("Basic", f"{USER}:{PASSWORD}")
    else:
        assert "Authorization" not in request.headers
    assert request.headers["User-Agent"].startswith("airflow-provider-afilnet/")


@pytest.mark.parametrize("style", STYLES)
def test_getbalance_is_of_the_class_user(style: str) -> None:
    assert sent(wire(style))["class"] == "user"


@pytest.mark.parametrize("style", STYLES)
def test_nothing_secret_shows(style: str) -> None:
    request = wire(style, "addcontact", idgroup=1, contact="mobile:34600111222")
    settings = ClientSettings(USER, PASSWORD, style=style)
    for shown in (repr(request), str(request), repr(settings), f"{settings}"):
        assert not any(secret in shown for secret in (PASSWORD, USER, "34600111222", "Basic "))


@pytest.mark.parametrize("style", ["get", "basic-get"])
def test_the_get_limit_is_sharp(style: str) -> None:
    room = GET_LIMIT - len(wire(style, "addcolumntogroup", idgroup=1, field="x").url) + 1
    assert len(wire(style, "addcolumntogroup", idgroup=1, field="x" * room).url) == GET_LIMIT == 4000
    with pytest.raises(AfilnetTooLargeError) as caught:
        wire(style, "addcolumntogroup", idgroup=1, field="x" * (room + 1))
    message = str(caught.value)
    assert "4001" in message
    assert "'post'" in message
    assert "xxx" not in message
    assert not caught.value.retryable


@pytest.mark.parametrize("style", ["post", "basic"])
def test_post_has_no_limit(style: str) -> None:
    assert len(wire(style, "addcolumntogroup", idgroup=1, field="x" * 1_000_000).body or b"") > 1_000_000


@given(st.text())
def test_forms_are_encoded_as_the_standard_library_does(text: str) -> None:
    text = text.encode("utf-8", "ignore").decode()
    assert quoted(text) == quote_plus(text)
    assert encoded_length(ClientSettings("u", "p"), text) == len(quote_plus(text))


def test_every_byte_is_encoded_as_the_standard_library_does() -> None:
    text = "".join(map(chr, range(0x3000))) + "%41%%"
    assert quoted(text) == quote_plus(text)
