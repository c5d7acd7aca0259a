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
from dataclasses import replace
from typing import Any
from urllib.parse import quote, quote_plus
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_afilnet.api.methods import METHODS
from airflow_provider_afilnet.sandbox import Sandbox
from airflow_provider_afilnet.sandbox.dialect import Dialect, dialects_of
from airflow_provider_afilnet.sandbox.faults import KINDS

REQUESTS = 10_000 if os.environ.get("AFILNET_LONG") else 1_500
SECONDS = 20
SOAP_FAULT = 400
SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
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


def signed(draw: st.DrawFn) -> tuple[str, dict[str, str]]:
    """A method, and what a call of it needs besides user and password, with whatever values."""
    name = draw(st.sampled_from(sorted(METHODS)))
    return name, {param: draw(VALUES.get(param, TEXT)) for param in METHODS[name].params}


SIGNED_IN = {"user": "demo", "password": "demo"}


def xml(name: str, value: str, *, inner: str = "") -> str:
    """An element; what no XML can hold is left out, so that the envelope stays whole."""
    text = "".join(letter for letter in value if letter in "\t\n" or letter >= " ").encode("utf-8", "ignore").decode()
    return f"<{name}>{inner or escape(text)}</{name}>"


@st.composite
def soap_calls(draw: st.DrawFn) -> tuple[str, str, dict[str, str], bytes]:
    """A whole envelope as each dialect's WSDL asks for it; the content of ``parameters`` may be anything."""
    name, params = signed(draw)
    made_for = draw(st.sampled_from(dialects_of("soap_operations")))
    operation = name if made_for == "per-method" else "call"
    common = SIGNED_IN if made_for == "per-method" else {**SIGNED_IN, "class": METHODS[name].api_class, "method": name}
    content = "".join(xml(*pair) for pair in common.items())
    if draw(st.sampled_from(["as asked", "as asked", "hostile"])) == "hostile":
        content += xml("parameters", draw(st.one_of(JSON.map(json.dumps), TEXT)))
    elif made_for == "generic-pairs":
        pairs = (xml("item", "", inner=xml("key", param) + xml("value", value)) for param, value in params.items())
        content += xml("parameters", "", inner="".join(pairs))
    elif made_for == "generic-json":
        wrong = st.dictionaries(st.sampled_from(sorted(params) or ["x"]), JSON, max_size=2)
        content += xml("parameters", json.dumps(params | draw(st.one_of(st.just({}), wrong))))
    else:
        content += "".join(xml(*pair) for pair in params.items())
    envelope = f'<e:Envelope xmlns:e="{SOAP}"><e:Body>{xml(operation, "", inner=content)}</e:Body></e:Envelope>'
    head = draw(st.sampled_from(["", '<?xml version="1.0" encoding="utf-8"?>', '<?xml version="1.0" encoding="x"?>']))
    # The header says which dialect the envelope was made for.
    return "POST", "/soap", {"Content-Type": "text/xml", "SOAPAction": made_for}, (head + envelope).encode()


@st.composite
def json_calls(draw: st.DrawFn) -> tuple[str, str, dict[str, str], bytes]:
    """A call of the style ``json`` with a token that counts."""
    name, params = signed(draw)
    wrong = draw(st.one_of(st.just({}), st.dictionaries(st.sampled_from([*params, "class", "x"]), JSON, max_size=2)))
    body = json.dumps({"class": METHODS[name].api_class, "method": name, **params, **wrong})
    return "POST", "/api/json/", {"Content-Type": "application/json", "Authorization": "Bearer "}, body.encode()


@st.composite
def token_requests(draw: st.DrawFn) -> tuple[str, str, dict[str, str], bytes]:
    """A request for a token that looks right, with whatever values."""
    wanted = {"grant_type": draw(st.sampled_from(["client_credentials", "password", "refresh_token", ""]))}
    known = {"username": "demo", "password": "demo", "client_id": "an-id", "client_secret": "a-secret"}
    wanted |= {name: draw(st.one_of(st.just(value), TEXT)) for name, value in known.items() if draw(st.booleans())}
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    if draw(st.booleans()):
        pair = f"{draw(st.one_of(st.just('an-id'), TEXT))}:{draw(st.one_of(st.just('a-secret'), TEXT))}"
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode("utf-8", "surrogatepass")).decode()
    return "POST", "/oauth/token", headers, form({**wanted, "scope": draw(TEXT)})


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
        self.soap_answers = 0
        grant = {"grant_type": "password", "username": "demo", "password": "demo"}
        self.token = requests.post(f"{box.url}/oauth/token", grant, timeout=SECONDS).json()["access_token"]
        self._connection = http.client.HTTPConnection("127.0.0.1", box.port, timeout=SECONDS)

    def send(self, request: tuple[str, str, dict[str, str], bytes]) -> int:
        """The status of the answer; 0 for a connection that was closed. A hang is an error."""
        method, path, headers, body = request
        if headers.get("Authorization") == "Bearer ":
            headers = {**headers, "Authorization": f"Bearer {self.token}"}
        try:
            self._connection.putrequest(method, path, skip_host="Host" in headers, skip_accept_encoding=True)
            for name, value in headers.items():
                self._connection.putheader(name, value.encode("latin-1"))
            self._connection.putheader("Content-Length", str(len(body)))
            self._connection.endheaders(body)
            response = self._connection.getresponse()
            answer = response.read()
            # SOAP 1.1 wants its faults to come with HTTP 500; those that blame the server stay what they are.
            is_fault = response.status == 500 and path.startswith("/soap") and blames_the_client(answer)
            status = SOAP_FAULT if is_fault else response.status
            self.soap_answers += path == "/soap" and b"Response>" in answer
        except (http.client.HTTPException, ConnectionError):
            # An answer while the body is still being sent closes the connection; so do the faults that drop it.
            self._connection.close()
            status = 0
        self.statuses[status] += 1
        return status

    def close(self) -> None:
        self._connection.close()


def blames_the_client(answer: bytes) -> bool:
    """Whether this is a SOAP fault of the client's making."""
    try:
        code = ElementTree.fromstring(answer).findtext(f"{{{SOAP}}}Body/{{{SOAP}}}Fault/faultcode", "")
    except ElementTree.ParseError:
        return False
    return code.rpartition(":")[2] in ("Client", "Sender")


JSON_HEADERS = {"Content-Type": "application/json"}
FIXED = {
    "health": (200, "GET", "/_sandbox/health", {}, b""),
    "an account": (201, "POST", "/_sandbox/accounts", JSON_HEADERS, b'{"user": "fixed", "password": "p"}'),
    "wrong input": (400, "POST", "/_sandbox/accounts", JSON_HEADERS, b"[]"),
    "no sign-in": (401, "GET", "/api/basic/?class=user&method=getbalance", {}, b""),
    "no token": (401, "POST", "/api/json/", JSON_HEADERS, b"{}"),
    "a name of elsewhere": (403, "GET", "/_sandbox/calls", {"Host": "evil.example"}, b""),
    "no address": (404, "GET", "/nowhere", {}, b""),
    "a wrong verb": (405, "DELETE", "/api/http/", {}, b""),
    "a form": (415, "POST", "/_sandbox/accounts", {"Content-Type": "text/plain"}, b"{}"),
    "the WSDL": (200, "GET", "/soap?wsdl", {}, b""),
    "the WSDL's head": (200, "HEAD", "/soap?wsdl", {}, b""),
    "no envelope": (SOAP_FAULT, "POST", "/soap", {}, b"x"),
}
"""What must be answered so, whatever came before. Hypothesis draws constants from the modules that are loaded, so the
statuses that a search meets depend on which tests were collected with it."""


@pytest.fixture
def target(capfd: pytest.CaptureFixture[str]) -> Iterator[Target]:
    with Sandbox() as box:
        box.create_group("g", "mobile", ["mobile", "name"], [{"mobile": "1", "name": "a"}, {"mobile": "2"}])
        box.add_client("demo", "an-id", "a-secret")
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
    @given(
        st.one_of(
            *(calls(), calls(), soap_calls(), soap_calls()),
            *(json_calls(), token_requests(), controls(), controls(), ANYTHING),
        ),
        st.sampled_from(dialects_of("soap_answer")),
    )
    def throw(request: tuple[str, str, dict[str, str], bytes], soap_answer: Any) -> None:
        nonlocal sent
        sent += 1
        if sent % 500 == 0:
            # Otherwise faults and deletions pile up until little but refusals is left to meet.
            target.box.reset()
            target.box.dialect = Dialect()
            target.box.create_group("g", "mobile", ["mobile", "name"], [{"mobile": "1", "name": "a"}, {"mobile": "2"}])
        if made_for := request[2].get("SOAPAction"):
            target.box.dialect = replace(target.box.dialect, soap_operations=made_for, soap_answer=soap_answer)
        status = target.send(request)
        assert status < 500, (status, request)

    throw()
    assert sent >= REQUESTS
    target.box.clear_faults()
    assert target.send(("GET", "/api/http/?user=demo&password=demo&class=user&method=getbalance", {}, b"")) == 200
    assert target.send(("GET", "/", {}, b"")) == 200
    met = Counter(target.statuses)
    assert {name: target.send(tuple(request)) for name, (_, *request) in FIXED.items()} == {
        name: status for name, (status, *_) in FIXED.items()
    }
    # Most of what was sent was answered, and few connections broke.
    assert met[200] > REQUESTS / 10, met
    assert met[0] < REQUESTS / 10, met
    assert target.soap_answers > REQUESTS / 50, (target.soap_answers, met)
    assert "Traceback" not in capfd.readouterr().err
