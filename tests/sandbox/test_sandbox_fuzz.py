"""Random requests on the sandbox's HTTP surface: never a 5xx that was not asked for, never a hang, alive at the end.

10,000 requests in the long run (``AFILNET_LONG=1``), 1,500 in the short one.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_afilnet.api.methods import METHODS
from airflow_provider_afilnet.sandbox import Sandbox
from airflow_provider_afilnet.sandbox.dialect import Dialect, dialects_of
from airflow_provider_afilnet.sandbox.faults import KINDS

REQUESTS = 10_000 if os.environ.get("AFILNET_LONG") else 1_500
SECONDS = 20
SOAP_FAULT = 400
pytestmark = pytest.mark.timeout(1_800 if os.environ.get("AFILNET_LONG") else 280)

TEXT = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        [
            "", "0", "-1", "1000", "1001", "100001", "99999999999999999999", "1e5", "٣", "\x00", "\ud800", "\u202e",
            "a,b:c", "<script>", "' OR 1=1 --", "../../etc/passwd", "%00", "%", "{{7*7}}", "mobile:1,name:x", "[",
        ]
    ),
)  # fmt: skip
NUMBERS = st.one_of(st.integers(), st.floats(), st.sampled_from([0, 1, -1, 10**30, 1e308, True]))
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXT, inner, max_size=4)),
    max_leaves=12,
)
CONTACTS = st.lists(
    st.dictionaries(st.sampled_from(["mobile", "email", "name", "x", ""]), st.one_of(TEXT, JSON), max_size=4),
    max_size=5,
).map(json.dumps)
VALUES = {
    "idgroup": st.sampled_from(["1000", "1000", "1001", "1002", "9", "x", "", "1000 "]),
    "idcontact": st.sampled_from(["100001", "100002", "5", "-5", "", "9" * 30]),
    "type": st.sampled_from(["mobile", "email", "fax"]),
    "fields": st.sampled_from(["mobile,name", "email", ",,,", "mobile," + "c" * 500, "mobile,\x00,\u202e"]),
    "field": st.sampled_from(["name", "mobile", "new", "\x00"]),
    "contacts": st.one_of(CONTACTS, JSON.map(json.dumps), TEXT, st.sampled_from(["[" * 50_000, '{"a":' * 5_000])),
    "contact": st.one_of(st.sampled_from(["mobile:1,name:x", "mobile:1", "email:a@b.c", ":::", ",,,"]), TEXT),
    "countryiso3": st.sampled_from(["esp", "ESP", "zzz", "es"]),
}
KINDS_OF_BODY = st.sampled_from(
    [
        "application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
        "multipart/form-data", "text/xml", "application/x-www-form-urlencoded; charset=\xff",
        'multipart/form-data; boundary="', "", "é;;;=",
    ]
)  # fmt: skip
GARBAGE = st.one_of(
    st.binary(max_size=200),
    st.sampled_from([b"", b"\xff" * 3_000, b"a" * 1_500_000, b"--x\r\n\r\n" * 2_000, b"&=" * 20_000, b"%" * 9_000]),
    JSON.map(lambda value: json.dumps(value).encode()),
    st.sampled_from(
        [b"<a>" * 20_000, b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", b"[" * 200_000, b'{"kind":' * 3_000]
    ),
)
HEADERS = st.dictionaries(
    st.sampled_from(["Host", "Authorization", "Accept", "Cookie", "Origin", "X-Forwarded-Host", "Content-Encoding"]),
    st.one_of(
        st.sampled_from(
            ["Basic é", "Basic !!", "Bearer x", "Basic ZGVtbzpkZW1v", "[::", "evil.example:99999999", ":", "gzip"]
        ),
        st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=30),
    ),
    max_size=3,
)
CONTROLLED = ("calls", "faults", "faults/1", "reset", "dialect", "accounts", "groups", "groups/1000/contacts", "health")
PATHS = st.one_of(
    st.sampled_from(
        ["/", "/api/http/", "/api/basic/", "/api/http", "/api/json/", "/oauth/token", "/soap", "/soap?wsdl"]
    ),
    st.sampled_from([f"/_sandbox/{path}" for path in CONTROLLED]),
    st.builds("/?group={}&after={}&from={}".format, *[TEXT.map(lambda text: quote(text, errors="replace"))] * 3),
    st.builds("/_sandbox/calls?method={}&after={}".format, *[TEXT.map(lambda text: quote(text, errors="replace"))] * 2),
    st.builds("/_sandbox/{}".format, TEXT.map(lambda text: quote(text, errors="replace"))),
    st.builds("/{}".format, st.binary(max_size=30).map(quote)),
)


def form(params: dict[str, str]) -> bytes:
    return "&".join(
        f"{quote_plus(name, errors='replace')}={quote_plus(value, errors='replace')}" for name, value in params.items()
    ).encode()


def multipart(params: dict[str, str]) -> bytes:
    parts = [
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in params.items()
    ]
    return "".join([*parts, "--x--\r\n"]).encode("utf-8", "replace")


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, str, dict[str, str], bytes]:
    """A call that passes the common checks, with whatever values."""
    name = draw(st.sampled_from(sorted(METHODS)))
    params = {"class": METHODS[name].api_class, "method": name}
    params |= {param: draw(VALUES.get(param, TEXT)) for param in METHODS[name].params}
    if draw(st.booleans()):
        headers = {"Authorization": "Basic " + base64.b64encode(b"demo:demo").decode()}
        path = "/api/basic/"
    else:
        headers, path = {}, "/api/http/"
        params |= {"user": "demo", "password": "demo"}
    kind = draw(st.sampled_from(["get", "form", "multipart"]))
    if kind == "get":
        return "GET", f"{path}?{form(params).decode()}", headers, b""
    if kind == "form":
        return "POST", path, {**headers, "Content-Type": "application/x-www-form-urlencoded"}, form(params)
    return "POST", path, {**headers, "Content-Type": "multipart/form-data; boundary=x"}, multipart(params)


@st.composite
def controls(draw: st.DrawFn) -> tuple[str, str, dict[str, str], bytes]:
    """A request of a control endpoint that looks right, with whatever values, without faults that ask for a 5xx."""
    body: dict[str, Any]
    path = draw(st.sampled_from(["faults", "dialect", "accounts", "groups", "groups/1000/contacts"]))
    if path == "faults":
        kind = draw(st.sampled_from(sorted(set(KINDS) - {"http_500", "too_large", "late", "latency"})))
        detail = {name: draw(st.one_of(JSON, NUMBERS, st.just(1))) for name in KINDS[kind].detail}
        when = st.dictionaries(st.sampled_from(["first", "count", "every", "after", "probability", "methods"]), JSON)
        body = {"kind": kind, **detail, **draw(when), "count": 1}
    elif path == "dialect":
        names = draw(st.lists(st.sampled_from([*Dialect.__dataclass_fields__, "x"]), max_size=3))
        known = {name: dialects_of(name) if name != "x" else () for name in names}
        body = {name: draw(st.one_of(st.sampled_from(known[name]), JSON) if known[name] else JSON) for name in names}
    elif path == "accounts":
        body = {"user": "u" + draw(TEXT), "password": draw(TEXT), "balance": draw(st.one_of(NUMBERS, JSON))}
    else:
        contacts = st.lists(
            st.dictionaries(st.sampled_from(["mobile", "name", "x"]), st.one_of(TEXT, JSON)), max_size=4
        )
        body = {"contacts": draw(contacts)}
        if path == "groups":
            fields = st.lists(st.one_of(st.sampled_from(["mobile", "name", "email"]), TEXT), max_size=4)
            body |= {"name": draw(TEXT), "type": draw(VALUES["type"]), "fields": draw(fields)}
    method = "PUT" if path == "dialect" else "POST"
    return method, f"/_sandbox/{path}", {"Content-Type": "application/json"}, json.dumps(body).encode()


ANYTHING = st.tuples(
    st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "BREW", "TRACE"]),
    PATHS,
    st.builds(lambda headers, kind: {**headers, **({"Content-Type": kind} if kind else {})}, HEADERS, KINDS_OF_BODY),
    GARBAGE,
)


class Target:
    """A sandbox and one connection to it, which is made anew when it was closed."""

    def __init__(self, box: Sandbox) -> None:
        self.box = box
        self.statuses: Counter[int] = Counter()
        self._connection = http.client.HTTPConnection("127.0.0.1", box.port, timeout=SECONDS)

    def send(self, request: tuple[str, str, dict[str, str], bytes]) -> int:
        """The status of the answer; 0 for a connection that was closed. A hang is an error."""
        method, path, headers, body = request
        try:
            self._connection.putrequest(method, path, skip_host="Host" in headers, skip_accept_encoding=True)
            for name, value in headers.items():
                self._connection.putheader(name, value.encode("latin-1"))
            self._connection.putheader("Content-Length", str(len(body)))
            self._connection.endheaders(body)
            response = self._connection.getresponse()
            answer = response.read()
            # SOAP 1.1 wants its faults to come with HTTP 500.
            is_fault = (
                response.status == 500 and (b":Fault>" in answer or method == "HEAD") and path.startswith("/soap")
            )
            status = SOAP_FAULT if is_fault else response.status
        except (http.client.HTTPException, ConnectionError):
            # An answer while the body is still being sent closes the connection; so do the faults that drop it.
            self._connection.close()
            status = 0
        self.statuses[status] += 1
        return status

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def target(capfd: pytest.CaptureFixture[str]) -> Iterator[Target]:
    with Sandbox() as box:
        box.create_group("g", "mobile", ["mobile", "name"], [{"mobile": "1", "name": "a"}, {"mobile": "2"}])
        made = Target(box)
        yield made
        made.close()


def test_no_request_breaks_it(target: Target, capfd: pytest.CaptureFixture[str]) -> None:
    sent = 0

    @settings(
        max_examples=REQUESTS,
        deadline=None,
        derandomize=not os.environ.get("AFILNET_LONG"),
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.one_of(calls(), calls(), calls(), controls(), controls(), ANYTHING))
    def throw(request: tuple[str, str, dict[str, str], bytes]) -> None:
        nonlocal sent
        sent += 1
        if sent % 500 == 0:
            # Otherwise faults and deletions pile up until little but refusals is left to meet.
            target.box.reset()
            target.box.dialect = Dialect()
            target.box.create_group("g", "mobile", ["mobile", "name"], [{"mobile": "1", "name": "a"}, {"mobile": "2"}])
        status = target.send(request)
        assert status < 500, (status, request)

    throw()
    assert sent >= REQUESTS
    assert target.send(("GET", "/_sandbox/health", {}, b"")) == 200
    target.box.clear_faults()
    assert target.send(("GET", "/api/http/?user=demo&password=demo&class=user&method=getbalance", {}, b"")) == 200
    assert target.send(("GET", "/", {}, b"")) == 200
    # The search reached what it was made for, and few connections broke.
    assert {200, 201, 400, 401, 403, 404, 405} <= set(target.statuses), target.statuses
    assert target.statuses[200] > REQUESTS / 10, target.statuses
    assert target.statuses[0] < REQUESTS / 10, target.statuses
    assert "Traceback" not in capfd.readouterr().err
