"""What both clients make of a misbehaving line: the right class, one request only, and never a wrong 'not applied'."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from api_styles import TOKEN, make_settings

from airflow_provider_afilnet.api import errors as e
from airflow_provider_afilnet.api.client import AfilnetClient, AsyncAfilnetClient
from airflow_provider_afilnet.api.methods import METHODS
from airflow_provider_afilnet.api.settings import STYLES
from airflow_provider_afilnet.sandbox import Sandbox

READ, WRITE, ONCE = "getgroupcolumns", "modifycontact", "creategroup"
KINDS = [READ, WRITE, ONCE]
SUCCESS = '{"status":"SUCCESS","result":[]}'
Params = Callable[[str], dict[str, object]]


at = make_settings


def check(error: object, name: str, *, sure: type[e.AfilnetError], http_status: int | None = None) -> e.AfilnetError:
    """A read that fails with ``sure`` (and may be repeated), or a write of unknown outcome."""
    writes = METHODS[name].writes
    assert type(error) is (e.AfilnetOutcomeUnknownError if writes else sure), error
    assert error.retryable is (METHODS[name].repeatable if writes else True)
    assert (error.http_status, error.method, error.code) == (http_status, name, None)
    if writes:
        assert "may have been applied" in str(error)
    return error


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("style", STYLES)
def test_connection_refused(asker: Any, closed_port: int, params_of: Params, name: str, style: str) -> None:
    error = asker.one(at(f"http://127.0.0.1:{closed_port}", style), name, **params_of(name))
    assert type(error) is e.AfilnetConnectionError
    assert error.retryable
    assert "was not sent" in str(error)


def test_an_unknown_host(asker: Any) -> None:
    error = asker.one(at("http://afilnet.invalid"), "getbalance")
    assert (type(error), error.retryable) == (e.AfilnetConnectionError, True)
    assert "was not sent" in str(error)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("kept_alive", [False, True])
@pytest.mark.parametrize("name", KINDS)
def test_a_dropped_call_is_sent_once(
    asker: Any, raw_server: Any, http: Any, params_of: Params, name: str, style: str, kept_alive: bool
) -> None:
    server = raw_server(
        lambda request: http(200, SUCCESS) if "getbalance" in request.line + request.body.decode() else None
    )
    warm_up = [("getbalance", {})] * kept_alive
    *_, error = asker.many(at(server.url, style), *warm_up, (name, params_of(name)))
    check(error, name, sure=e.AfilnetConnectionError)
    assert [request.connection for request in server.requests] == [1] * (1 + kept_alive)
    assert server.connections == 1


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("kind", ["drop_before", "drop_after"])
def test_a_write_dropped_by_the_sandbox_arrives_once(sandbox: Sandbox, asker: Any, style: str, kind: str) -> None:
    group = sandbox.create_group("g", "mobile", ["mobile"])
    sandbox.fail(kind, methods="addcontact", count=1)
    call = ("addcontact", {"idgroup": group, "contact": "mobile:34600111222"})
    error, again = asker.many(at(sandbox.url, style), call, call)
    check(error, "addcontact", sure=e.AfilnetConnectionError)
    assert sandbox.count("addcontact") == 2
    assert len(sandbox.contacts(group)) == 1
    assert (type(again) is e.AfilnetExistsError) is (kind == "drop_after")


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", KINDS)
def test_time_out(asker: Any, raw_server: Any, params_of: Params, name: str, style: str) -> None:
    server = raw_server(lambda _: server.released.wait(20) and None)
    error = asker.one(at(server.url, style, timeout=0.2), name, **params_of(name))
    check(error, name, sure=e.AfilnetConnectionError)
    assert "0.2 s (extra 'timeout')" in str(error)
    assert len(server.requests) == 1


@pytest.mark.parametrize("end", ["stall", "close"])
@pytest.mark.parametrize("name", KINDS)
def test_an_answer_that_stops_in_the_middle(
    asker: Any, raw_server: Any, http: Any, params_of: Params, name: str, end: str
) -> None:
    close = end == "close"
    server = raw_server(http(200, SUCCESS)[:-5], close_after=close)
    settings = at(server.url, timeout=5 if close else 0.2)
    check(asker.one(settings, name, **params_of(name)), name, sure=e.AfilnetConnectionError)
    assert len(server.requests) == 1


@pytest.mark.parametrize("close", [False, True])
def test_streamed_contacts_that_stop_in_the_middle_are_red(asker: Any, raw_server: Any, http: Any, close: bool) -> None:
    body = '{"status":"SUCCESS","result":[' + ",".join(f'{{"id":{n},"mobile":"34600111222"}}' for n in range(9000))
    server = raw_server(http(200, body + "]}")[:-9], close_after=close)
    error = asker.contacts(at(server.url, timeout=5 if close else 0.3), "1")
    assert (type(error), error.retryable) == (e.AfilnetConnectionError, True)


def test_streamed_contacts_may_be_left(raw_server: Any, http: Any) -> None:
    body = '{"status":"SUCCESS","result":[' + ",".join(f'{{"id":{n}}}' for n in range(90000)) + "]}"
    server = raw_server(http(200, body))
    with AfilnetClient(at(server.url)) as client:
        assert next(client.contacts("1")).id == "0"

    async def leave() -> str | None:
        async with AsyncAfilnetClient(at(server.url)) as client:
            contacts = client.contacts("1")
            first = await anext(contacts)
            await contacts.aclose()
            return first.id

    assert asyncio.run(leave()) == "0"


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(("status", "wait"), [(500, None), (503, 7)])
def test_server_errors(
    sandbox: Sandbox, asker: Any, params_of: Params, name: str, status: int, wait: int | None
) -> None:
    sandbox.fail("http_500", status=status, retry_after=wait)
    error = check(
        asker.one(at(sandbox.url), name, **params_of(name)), name, sure=e.AfilnetServerError, http_status=status
    )
    assert error.retry_after == wait
    assert sandbox.count(name) == 1


@pytest.mark.parametrize("name", KINDS)
def test_rate_limit(sandbox: Sandbox, asker: Any, params_of: Params, name: str) -> None:
    sandbox.fail("rate_limited", retry_after=3)
    error = asker.one(at(sandbox.url), name, **params_of(name))
    assert (type(error), error.http_status, error.retryable, error.retry_after) == (
        e.AfilnetRateLimitedError,
        429,
        True,
        3,
    )
    assert sandbox.count(name) == 1


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("fault", ["html", "garbled"])
def test_garbled_answers(sandbox: Sandbox, asker: Any, params_of: Params, name: str, fault: str) -> None:
    sandbox.fail(fault, applied=False)
    error = asker.one(at(sandbox.url), name, **params_of(name))
    check(error, name, sure=e.AfilnetUnreadableAnswerError, http_status=200)
    assert ("an HTML page" in str(error)) is (fault == "html")


@pytest.mark.parametrize("fault", ["html", "garbled"])
def test_garbled_streams(sandbox: Sandbox, asker: Any, fault: str) -> None:
    group = sandbox.create_group("g", "mobile", ["mobile"], [{"mobile": "34600111222"}])
    sandbox.fail(fault)
    error = asker.contacts(at(sandbox.url), group)
    assert (type(error), error.retryable) == (e.AfilnetUnreadableAnswerError, True)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("style", STYLES)
def test_redirects_are_not_followed(asker: Any, raw_server: Any, http: Any, status: int, style: str) -> None:
    target = raw_server(http(200, SUCCESS))
    server = raw_server(http(status, "", f"Location: {target.url}/api/http/?password=demo-secret"))
    for error in (asker.one(at(server.url, style), "getbalance"), asker.contacts(at(server.url, style), "1")):
        assert (type(error), error.http_status, error.retryable) == (e.AfilnetConfigurationError, status, False)
        assert "127.0.0.1" in str(error)
        assert "demo-secret" not in str(error)
    assert target.requests == []
    assert len(server.requests) == 2


@pytest.mark.parametrize("status", [201, 203, 206])
def test_a_stream_that_is_not_http_200_is_no_empty_group(asker: Any, raw_server: Any, http: Any, status: int) -> None:
    for body in (SUCCESS, '{"status":"SUCCESS","result":[],"error":"CONTACT_EXISTS"}'):
        assert isinstance(asker.contacts(at(raw_server(http(status, body)).url), "1"), e.AfilnetError)


def test_answers_may_be_chunked_and_compressed(asker: Any, raw_server: Any) -> None:
    import gzip

    body = gzip.compress(b'{"status":"SUCCESS","result":[{"id":7,"name":"Ana"}]}')
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n"
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    server = raw_server(head + chunks)
    assert asker.contacts(at(server.url), "1") == [("7", {"name": "Ana"})]
    assert asker.one(at(server.url), "getcontacts", idgroup=1) == [{"id": "7", "name": "Ana"}]


def test_cookies_are_not_kept(asker: Any, raw_server: Any, http: Any) -> None:
    server = raw_server(http(200, SUCCESS, "Set-Cookie: session=1; Path=/"))
    asker.many(at(server.url), ("getbalance", {}), ("getbalance", {}))
    assert len(server.requests) == 2
    assert not any("cookie" in request.headers for request in server.requests)


@pytest.mark.parametrize("style", STYLES)
def test_netrc_is_never_used(
    asker: Any, raw_server: Any, http: Any, style: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("default login other password other-secret\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    server = raw_server(http(200, SUCCESS))
    assert asker.one(at(server.url, style), "getbalance") == []
    (request,) = server.requests
    mine = {"basic": "Basic ZGVtbzpkZW1v", "basic-get": "Basic ZGVtbzpkZW1v", "json": f"Bearer {TOKEN}"}
    assert request.headers.get("authorization") == mine.get(style)


def test_one_connection_serves_many_calls_and_no_more_are_opened_than_allowed(raw_server: Any, http: Any) -> None:
    server = raw_server(http(200, SUCCESS))
    with AfilnetClient(at(server.url)) as client:
        for _ in range(5):
            client.call("getbalance")
    assert server.connections == 1

    async def many() -> None:
        async with AsyncAfilnetClient(at(server.url, max_connections=3)) as client:
            await asyncio.gather(*(client.call("getbalance") for _ in range(20)))

    asyncio.run(many())
    assert len(server.requests) == 25
    assert server.connections <= 4


def test_a_closed_client_opens_again(raw_server: Any, http: Any) -> None:
    server = raw_server(http(200, SUCCESS))
    client = AfilnetClient(at(server.url))
    client.close()
    client.call("getbalance")
    client.close()
    client.call("getbalance")
    client.close()
    assert server.connections == 2
