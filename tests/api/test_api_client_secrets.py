"""With every logger at DEBUG, nothing that a call leaves behind holds a secret or a person, in any style."""

from __future__ import annotations

import asyncio
import base64
import logging
import traceback
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape

import pytest
from api_styles import CLIENT_ID, CLIENT_SECRET, TOKEN, make_settings

from airflow_provider_afilnet.api.client import AfilnetClient, AsyncAfilnetClient
from airflow_provider_afilnet.api.errors import AfilnetError
from airflow_provider_afilnet.api.settings import STYLES, ClientSettings
from airflow_provider_afilnet.sandbox import Dialect, Sandbox
from airflow_provider_afilnet.sandbox.soap import wsdl

USER, PASSWORD, PHONE, EMAIL = "ana.garcia@example.com", "Zq7&s3cr3t=pw+x", "34699887766", "eva.lopez@example.org"
CONTACT = f"mobile:{PHONE},email:{EMAIL}"
SECRETS = {
    form
    for text in (PASSWORD, "s3cr3t", PHONE, EMAIL, "eva.lopez", "ana.garcia", CLIENT_SECRET, TOKEN)
    for form in (text, quote(text, safe=""), quote_plus(text), repr(text)[1:-1])
} | {base64.b64encode(pair.encode()).decode() for pair in (f"{USER}:{PASSWORD}", f"{CLIENT_ID}:{CLIENT_SECRET}")}


def at(url: str, style: str, **more: Any) -> ClientSettings:
    return make_settings(url, style, user=USER, password=PASSWORD, **more)


def leaks(text: str) -> set[str]:
    return {secret for secret in SECRETS if secret in text}


@pytest.fixture
def everything_logged() -> Iterator[list[logging.LogRecord]]:
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign]
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    names = (
        "urllib3",
        "urllib3.connectionpool",
        "urllib3.util.retry",
        "aiohttp",
        "aiohttp.client",
        "requests",
        "asyncio",
        "zeep",
        "oauthlib",
    )
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.DEBUG)
    yield records
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    root.setLevel(before)
    root.removeHandler(handler)


def texts_of(error: BaseException) -> Iterator[str]:
    """Everything that a handler of the error could print, its hidden context included."""
    yield "".join(traceback.format_exception(error))
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        link = todo.pop()
        if link is not None and id(link) not in seen:
            seen.add(id(link))
            yield f"{link!r} {link} {link.args} {vars(link)}"
            todo += [link.__cause__, link.__context__]


CALLS: list[tuple[str, dict[str, object]]] = [
    ("addcontact", {"idgroup": "1000", "contact": CONTACT}),
    ("modifycontact", {"idgroup": "1000", "idcontact": "1", "contact": CONTACT}),
    ("addcontactlist", {"idgroup": "1000", "contacts": f'[{{"mobile":"{PHONE}","email":"{EMAIL}"}}]'}),
    ("getbalance", {}),
    ("addcontact", {"idgroup": "1000", "contact": CONTACT, "password": PASSWORD}),
]
FAULTS = ["none", "refused", "wrong-password", "drop", "stall", "500", "redirect", "garbled", "echo", "half", "tls"]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("fault", FAULTS)
def test_nothing_is_left_behind(
    asker: Any, raw_server: Any, http: Any, everything_logged: list[logging.LogRecord], style: str, fault: str
) -> None:
    echo = f"{CONTACT} {PASSWORD} {USER}"
    answers = {
        "none": http(200, '{"status":"SUCCESS","result":"5"}'),
        "wrong-password": http(200, '{"status":"ERROR","error":"INCORRECT_USER_PASSWORD"}'),
        "500": http(500, echo),
        "redirect": http(302, echo, f"Location: http://{PASSWORD}:x@else.example/?{echo}"),
        "garbled": http(200, f"<html>{echo}", kind="text/html"),
        "echo": http(200, f'{{"status":"ERROR","error":"{echo}","result":"{echo}"}}'),
        "half": http(200, f'{{"status":"SUCCESS","result":["{echo}"]}}')[:-9],
    }
    server = raw_server(
        (lambda _: server.released.wait(9) and None) if fault == "stall" else answers.get(fault),
        close_after=fault == "half",
    )
    url = {"refused": "http://127.0.0.1:1", "tls": server.url.replace("http:", "https:")}.get(fault, server.url)
    settings = at(url, style, timeout=0.3 if fault == "stall" else 5)
    calls = [CALLS[0], CALLS[-1]] if fault == "stall" else CALLS
    outcomes = asker.many(settings, *calls)
    # The last one is refused before it is sent.
    assert [isinstance(outcome, AfilnetError) for outcome in outcomes] == [fault != "none"] * (len(calls) - 1) + [True]
    outcomes.append(asker.contacts(settings, "1000"))
    for outcome in outcomes:
        if isinstance(outcome, AfilnetError):
            assert outcome.__context__ is None
            for text in texts_of(outcome):
                assert not leaks(text)
    if fault not in ("refused", "tls"):
        assert len(server.requests) == len(calls)
    for record in everything_logged:
        text = f"{record.name} {record.getMessage()} {record.args}"
        if record.exc_info and record.exc_info[1]:
            text += " ".join(texts_of(record.exc_info[1]))
        assert not leaks(text), text


@pytest.mark.parametrize("style", STYLES)
def test_the_warning_of_get_is_logged_and_names_the_way_out(
    asker: Any, raw_server: Any, http: Any, everything_logged: list[logging.LogRecord], style: str
) -> None:
    asker.one(at(raw_server(http(200, '{"status":"SUCCESS"}')).url, style), "getbalance")
    warned = [record.getMessage() for record in everything_logged if record.levelno >= logging.WARNING]
    assert len(warned) == (style in ("get", "basic-get"))
    assert all(("'post'" if style == "get" else "'basic'") in message for message in warned)


@pytest.mark.parametrize("style", STYLES)
def test_secrets_are_on_the_wire_where_they_belong(asker: Any, raw_server: Any, http: Any, style: str) -> None:
    server = raw_server(http(200, '{"status":"SUCCESS"}'))
    asker.one(at(server.url, style), "addcontact", idgroup=1, contact=CONTACT)
    (request,) = server.requests
    assert (quote_plus(PASSWORD) in request.line) is (style == "get")
    assert (quote_plus(PASSWORD) in request.body.decode()) is (style == "post")
    assert (escape(PASSWORD) in request.body.decode()) is (style == "soap")
    assert ("authorization" in request.headers) is (style.startswith("basic") or style == "json")
    assert (CLIENT_SECRET in str(request)) is False
    assert (PHONE in request.line) is style.endswith("get")


def test_clients_do_not_show_who_signs_in(sandbox: Sandbox) -> None:
    settings = ClientSettings(USER, PASSWORD, sandbox.url)

    async def shown() -> str:
        async with AsyncAfilnetClient(settings) as client:
            return f"{client!r} {client} {client._session!r}"

    with AfilnetClient(settings) as client:
        assert not leaks(f"{client!r} {client} {client.session()!r} {client.session().headers}")
    assert not leaks(asyncio.run(shown()))


def test_our_errors_keep_nothing_of_the_library_but_are_classed_right_under_another_error(
    asker: Any, raw_server: Any, params_of: Any
) -> None:
    """A caller that is already handling an error of requests must not have this call judged by it."""
    import requests

    server = raw_server(None)
    try:
        requests.get("http://127.0.0.1:1", timeout=1)
    except requests.RequestException:
        error = asker.one(ClientSettings(USER, PASSWORD, server.url), "creategroup", **params_of("creategroup"))
    assert "may have been applied" in str(error)
    assert len(server.requests) == 1


@pytest.mark.parametrize("grant", ["client_credentials", "password"])
@pytest.mark.parametrize("fault", ["refused", "quoted", "drop", "redirect", "half", "down"])
def test_a_token_request_leaves_nothing_behind(
    asker: Any, raw_server: Any, http: Any, everything_logged: list[logging.LogRecord], grant: Any, fault: str
) -> None:
    """The token endpoint sees every secret; what it answers may quote them."""
    echo = f"{PASSWORD} {CLIENT_SECRET} {TOKEN} {USER}"
    answers = {
        "refused": http(401, f'{{"error":"invalid_client","error_description":"{echo}"}}'),
        "quoted": http(400, f'{{"error":"{echo}"}}'),
        "redirect": http(302, echo, f"Location: http://{CLIENT_SECRET}:x@else.example/?{TOKEN}"),
        "half": http(200, f'{{"access_token":"{TOKEN}","token_type":"Bearer","x":"{echo}'),
    }
    server = raw_server(answers.get(fault), bare=True)
    settings = at("http://127.0.0.1:1" if fault == "down" else server.url, "json", grant_type=grant)
    outcomes = [*asker.many(settings, *CALLS[:2]), asker.contacts(settings, "1000")]
    for outcome in outcomes:
        assert isinstance(outcome, AfilnetError)
        assert outcome.__context__ is None
        assert not any(leaks(text) for text in texts_of(outcome))
    for record in everything_logged:
        assert not leaks(f"{record.name} {record.getMessage()} {record.args}")


def test_keys_in_addresses_are_not_logged(
    asker: Any, sandbox: Sandbox, raw_server: Any, http: Any, everything_logged: list[logging.LogRecord]
) -> None:
    """Of the WSDL, of what it imports, of the service that it names, of the JSON calls and of the token endpoint."""
    key = f"key=K3y-of-the-address-{asker.kind}"  # what was kept out once stays out for the whole process
    end = 'elementFormDefault="qualified">'
    main = wsdl(Dialect(), f"{sandbox.url}/soap?{key}").replace(
        end, f'{end}<xsd:import namespace="urn:more" schemaLocation="?xsd&amp;{key}"/>'
    )
    imported = '<schema xmlns="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:more"/>'

    def answer(request: Any) -> bytes:
        return bytes(http(200, imported if "?xsd" in request.line else main, kind="text/xml"))

    server = raw_server(answer, bare=True)
    soap = make_settings(server.url, "soap", wsdl_url=f"{server.url}/soap?wsdl&{key}")
    json_url, token_url = f"{sandbox.url}/api/json/?{key}", f"{sandbox.url}/oauth/token?{key}"
    for settings in (soap, make_settings(sandbox.url, "json", json_url=json_url, token_url=token_url)):
        assert asker.one(settings, "getbalance") == "25.5"
    assert [request.line.split()[1] for request in server.requests] == [f"/soap?wsdl&{key}", f"/soap?xsd&{key}"]
    assert len(sandbox.calls) == 2
    assert not [text for record in everything_logged if key in (text := f"{record.getMessage()} {record.args}")]
