"""JSON with OAuth 2.0: the token request, what may be wrong with its answer, and how long a token is used."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import pytest
from api_styles import CLIENT_SECRET, make_settings

from airflow_provider_afilnet.api import errors as e
from airflow_provider_afilnet.api.client import AfilnetClient, AsyncAfilnetClient
from airflow_provider_afilnet.api.settings import ClientSettings
from airflow_provider_afilnet.sandbox import Dialect, Sandbox

READ, ONCE = "getgroupcolumns", "creategroup"
SUCCESS = '{"status":"SUCCESS","result":"5"}'
SECRETS = (CLIENT_SECRET, "s3cret-token", "s3cret-pass")


class Endpoint:
    """A bare server whose token endpoint answers ``token``, and whose calls answer ``answer``."""

    def __init__(self, raw_server: Callable[..., Any], token: Any, answer: Any = None) -> None:
        self.token, self.answer = token, answer

        def respond(request: Any) -> bytes | None:
            found = self.token if "/oauth/token" in request.line else self.answer
            return found(request) if callable(found) else found

        self.server = raw_server(respond, bare=True)

    @property
    def asked(self) -> list[Any]:
        return [request for request in self.server.requests if "/oauth/token" in request.line]

    @property
    def calls(self) -> list[Any]:
        return [request for request in self.server.requests if "/api/json/" in request.line]

    def settings(self, **more: Any) -> ClientSettings:
        return make_settings(self.server.url, "json", user="ana", password="s3cret-pass", **more)


@pytest.fixture
def token(http: Any) -> Callable[..., bytes]:
    def write(**more: Any) -> bytes:
        given = {"access_token": "s3cret-token", "token_type": "Bearer", "expires_in": 3600, **more}
        return http(200, json.dumps({name: value for name, value in given.items() if value is not None}))

    return write


def test_what_is_sent(asker: Any, raw_server: Any, http: Any, token: Any) -> None:
    server = Endpoint(raw_server, token(), http(200, SUCCESS))
    text = 'Ana & Eva = 100% +ñ😀 "x"\n'
    assert asker.one(server.settings(scope="read write"), "addcolumntogroup", idgroup=7, field=text) == "5"
    (asked,), (call,) = server.asked, server.calls
    assert asked.headers["authorization"].startswith("Basic ")
    assert parse_qs(asked.body.decode()) == {"grant_type": ["client_credentials"], "scope": ["read write"]}
    assert call.line == "POST /api/json/ HTTP/1.1"
    assert call.headers["authorization"] == "Bearer s3cret-token"
    assert call.headers["content-type"].startswith("application/json")
    params = {"class": "group", "method": "addcolumntogroup", "idgroup": "7", "field": text}
    assert json.loads(call.body) == params


@pytest.mark.parametrize("client", [True, False])
def test_the_grant_password(asker: Any, raw_server: Any, http: Any, token: Any, client: bool) -> None:
    server = Endpoint(raw_server, token(), http(200, SUCCESS))
    more = {} if client else {"client_id": None, "client_secret": None}
    assert asker.one(server.settings(grant_type="password", **more), "getbalance") == "5"
    (asked,) = server.asked
    signed = {"grant_type": ["password"], "username": ["ana"], "password": ["s3cret-pass"]}
    assert parse_qs(asked.body.decode()) == signed
    assert ("authorization" in asked.headers) is client
    assert b"s3cret-pass" not in server.calls[0].body


@pytest.mark.parametrize("place", ["header", "body", "either"])
@pytest.mark.parametrize("grant", ["client_credentials", "password"])
def test_an_endpoint_may_read_the_client_in_either_place(asker: Any, sandbox: Sandbox, place: Any, grant: Any) -> None:
    sandbox.dialect = Dialect(oauth_client=place)
    sandbox.token_life = 0.2
    settings = make_settings(sandbox.url, "json", grant_type=grant)
    assert asker.one(settings, "getbalance") == "25.5"
    assert sandbox.token_requests == (2 if place == "body" else 1)
    wrong = make_settings(sandbox.url, "json", grant_type=grant, client_secret="wrong")
    assert type(asker.one(wrong, "getbalance")) is e.AfilnetCredentialsError


def test_the_place_is_remembered(sandbox: Sandbox) -> None:
    sandbox.dialect = Dialect(oauth_client="body")
    with AfilnetClient(make_settings(sandbox.url, "json")) as client:
        for _ in range(3):
            assert client.call("getbalance") == "25.5"
            sandbox.expire_tokens()
    assert sandbox.token_requests == 4


def test_marks_in_a_client_arrive(asker: Any, sandbox: Sandbox) -> None:
    client = {"client_id": "id:with colon&+", "client_secret": "s&=%+ñ :😀"}
    sandbox.add_client("demo", **client)
    for place in ("header", "body"):
        sandbox.dialect = Dialect(oauth_client=place)  # type: ignore[arg-type]
        assert asker.one(make_settings(sandbox.url, "json", **client), "getbalance") == "25.5"


# --- a token endpoint that does not do its work ----------------------------------------------------------------------

REFUSALS = [
    ((401, '{"error":"invalid_client"}'), e.AfilnetCredentialsError, False, "invalid_client"),
    ((400, '{"error":"invalid_grant","error_description":"s3cret-pass"}'), e.AfilnetCredentialsError, False, "grant"),
    ((401, ""), e.AfilnetCredentialsError, False, "HTTP 401"),
    ((400, '{"error":"invalid_scope"}'), e.AfilnetConfigurationError, False, "invalid_scope"),
    ((200, '{"error":"unsupported_grant_type"}'), e.AfilnetConfigurationError, False, "unsupported_grant_type"),
    ((400, '{"error":"s3cret-pass s3cret-token"}'), e.AfilnetConfigurationError, False, "HTTP 400"),
    ((404, "s3cret-token"), e.AfilnetConfigurationError, False, "'token_url'"),
    ((403, ""), e.AfilnetConfigurationError, False, "HTTP 403"),
    ((302, "", "Location: https://elsewhere.example/"), e.AfilnetConfigurationError, False, "redirects"),
    ((500, "s3cret-token"), e.AfilnetConnectionError, True, "HTTP 500"),
    ((503, '{"error":"temporarily_unavailable"}', "Retry-After: 4"), e.AfilnetConnectionError, True, "HTTP 503"),
    ((429, '{"error":"slow_down"}', "Retry-After: 4"), e.AfilnetRateLimitedError, True, "HTTP 429"),
    ((200, "<html>s3cret-token</html>"), e.AfilnetConnectionError, True, "token endpoint"),
    ((200, '{"access_token":"s3cret-to'), e.AfilnetConnectionError, True, "token endpoint"),
    ((200, ""), e.AfilnetConnectionError, True, "token endpoint"),
    ((200, "[]"), e.AfilnetConnectionError, True, "token endpoint"),
    ((200, '{"token_type":"Bearer"}'), e.AfilnetConnectionError, True, "token endpoint"),
    ((200, '{"access_token":"a\\nb","token_type":"Bearer"}'), e.AfilnetConnectionError, True, "no header"),
    ((200, '{"access_token":"s3cret-token","token_type":"mac"}'), e.AfilnetConfigurationError, False, "Bearer"),
]


@pytest.mark.parametrize(("trouble", "kind", "retryable", "shown"), REFUSALS, ids=lambda case: str(case)[:50])
@pytest.mark.parametrize("name", [READ, ONCE])
def test_a_token_that_cannot_be_had(
    asker: Any,
    raw_server: Any,
    http: Any,
    params_of: Any,
    trouble: Any,
    kind: Any,
    retryable: bool,
    shown: str,
    name: str,
) -> None:
    """Whatever it is, the call was not sent, so a write may be tried again where it may pass."""
    server = Endpoint(raw_server, http(*trouble))
    error = asker.one(server.settings(), name, **params_of(name))
    assert (type(error), error.retryable, error.method) == (kind, retryable, name)
    assert error.retry_after == (4 if "Retry-After: 4" in trouble else None)
    assert "not sent" in str(error)
    assert shown in str(error)
    assert not any(secret in f"{error!r} {vars(error)}" for secret in SECRETS)
    assert server.calls == []
    assert type(asker.contacts(server.settings(), "1")) is kind


def test_an_endpoint_that_cannot_be_reached(asker: Any, raw_server: Any, params_of: Any) -> None:
    slow = Endpoint(raw_server, lambda _: slow.server.released.wait(9) and None)
    dropped = Endpoint(raw_server, None)
    down = dropped.settings(token_url="http://127.0.0.1:1/")
    for settings in (slow.settings(timeout=0.2), dropped.settings(), down):
        error = asker.one(settings, ONCE, **params_of(ONCE))
        assert (type(error), error.retryable, error.method) == (e.AfilnetConnectionError, True, ONCE)
        assert "the token request" in str(error)


@pytest.mark.parametrize(
    "trouble", [{"expires_in": None}, {"token_type": None}, {"expires_in": "3600"}, {"scope": "x"}]
)
def test_what_may_be_left_out_of_a_token(asker: Any, raw_server: Any, http: Any, token: Any, trouble: Any) -> None:
    server = Endpoint(raw_server, token(**trouble), http(200, SUCCESS))
    assert asker.many(server.settings(scope="y"), *[("getbalance", {})] * 3) == ["5"] * 3
    assert len(server.asked) == 1


# --- how long a token is used ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("life", ["number", "text"])
def test_a_token_is_renewed_before_it_expires(sandbox: Sandbox, life: Any) -> None:
    """A token of two seconds is used for 1.8, so that the server never sees an old one."""
    sandbox.dialect = Dialect(oauth_life=life)
    sandbox.token_life = 2
    began = time.monotonic()
    with AfilnetClient(make_settings(sandbox.url, "json")) as client:
        while time.monotonic() < began + 2.6:
            client.call("getbalance")
            time.sleep(0.02)
    assert sandbox.token_requests == 2
    assert {call.status for call in sandbox.calls} == {200}


def test_a_token_without_a_life_is_used_until_it_is_refused(asker: Any, sandbox: Sandbox) -> None:
    sandbox.dialect = Dialect(oauth_life="absent")
    settings = make_settings(sandbox.url, "json")
    assert asker.many(settings, *[("getbalance", {})] * 5) == ["25.5"] * 5
    assert sandbox.token_requests == 1


@pytest.mark.parametrize("name", [READ, ONCE, "addcontact"])
def test_a_refused_token_is_renewed_once_for_writes_too(
    asker: Any, raw_server: Any, http: Any, token: Any, params_of: Any, name: str
) -> None:
    given: list[str] = []

    def give(_: Any) -> bytes:
        given.append(f"token-{len(given) + 1}")
        return token(access_token=given[-1])

    def judge(request: Any) -> bytes:
        old = request.headers["authorization"].endswith("token-1")
        return http(401, '{"status":"ERROR","error":"INCORRECT_USER_PASSWORD"}') if old else http(200, SUCCESS)

    server = Endpoint(raw_server, give, judge)
    settings = server.settings()
    assert asker.many(settings, (name, params_of(name)), ("getbalance", {})) == ["5", "5"]
    assert len(given) == 2
    assert [call.headers["authorization"][-1] for call in server.calls] == ["1", "2", "2"]
    assert server.calls[0].body == server.calls[1].body
    server.answer = http(401, "")
    error = asker.one(settings, name, **params_of(name))
    assert (type(error), error.retryable, error.http_status) == (e.AfilnetCredentialsError, False, 401)
    assert len(given) == 4


def test_a_refused_token_is_renewed_for_a_stream_too(asker: Any, sandbox: Sandbox) -> None:
    group = sandbox.create_group("g", "mobile", ["mobile"], [{"mobile": "34600111222"}])
    settings = make_settings(sandbox.url, "json")
    with AfilnetClient(settings) as client:
        client.call("getbalance")
        sandbox.expire_tokens()
        assert [record.fields for record in client.contacts(group)] == [{"mobile": "34600111222"}]

    async def read() -> int:
        async with AsyncAfilnetClient(settings) as client:
            await client.call("getbalance")
            sandbox.expire_tokens()
            return len([contact async for contact in client.contacts(group)])

    assert asyncio.run(read()) == 1


def test_parallel_calls_share_one_token_and_one_renewal(sandbox: Sandbox) -> None:
    async def many() -> None:
        async with AsyncAfilnetClient(make_settings(sandbox.url, "json", max_connections=16)) as client:
            for round_ in (1, 2, 3):
                found = await asyncio.gather(*(client.call("getbalance") for _ in range(40)))
                assert found == ["25.5"] * 40
                assert sandbox.token_requests == round_
                sandbox.expire_tokens()

    asyncio.run(many())
    assert sandbox.count("getbalance") >= 120


def test_threads_share_one_token_too(sandbox: Sandbox) -> None:
    found: list[Any] = []
    with AfilnetClient(make_settings(sandbox.url, "json", max_connections=8)) as client:
        client.session()
        threads = [threading.Thread(target=lambda: found.append(client.call("getbalance"))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == ["25.5"] * 8
    assert sandbox.token_requests == 1


def test_parallel_calls_share_a_failure_and_do_not_wait_one_after_the_other(raw_server: Any) -> None:
    server = Endpoint(raw_server, lambda _: server.server.released.wait(20) and None)

    async def many() -> list[Any]:
        async with AsyncAfilnetClient(server.settings(timeout=0.5, max_connections=8)) as client:
            calls = [client.call("getbalance"), *(client.call("deletegroup", idgroup=n) for n in range(1, 9))]
            return await asyncio.gather(*calls, return_exceptions=True)

    began = time.monotonic()
    errors = asyncio.run(many())
    assert time.monotonic() - began < 3
    assert {type(error) for error in errors} == {e.AfilnetConnectionError}
    assert [error.method for error in errors] == ["getbalance", *["deletegroup"] * 8]
    assert len(server.asked) == 1


def test_a_cancelled_call_takes_the_token_from_nobody(raw_server: Any, http: Any, token: Any) -> None:
    def slow(_: Any) -> bytes:
        time.sleep(0.3)
        return token()

    server = Endpoint(raw_server, slow, http(200, SUCCESS))

    async def run() -> Any:
        async with AsyncAfilnetClient(server.settings()) as client:
            first, second = (asyncio.create_task(client.call("getbalance")) for _ in range(2))
            await asyncio.sleep(0.1)
            first.cancel()
            return await second

    assert asyncio.run(run()) == "5"
    assert len(server.asked) == 1


def test_accounts_do_not_see_each_other(asker: Any, sandbox: Sandbox) -> None:
    sandbox.add_account("other", "pw")
    sandbox.add_client("other", "other-client", "other-secret")
    mine = sandbox.create_group("g", "mobile", ["mobile"])
    settings = make_settings(sandbox.url, "json", client_id="other-client", client_secret="other-secret")
    assert asker.one(settings, READ, idgroup=mine).code == "NOT_ACCESS_TO_GROUP"
    assert asker.one(make_settings(sandbox.url, "json"), READ, idgroup=mine) == ["mobile"]


def test_without_oauthlib_one_sentence_says_what_to_install(
    asker: Any, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "oauthlib.oauth2", None)
    error = asker.one(make_settings(sandbox.url, "json"), "getbalance")
    assert type(error) is e.AfilnetConfigurationError
    sentence = "api_style 'json' needs the package oauthlib: pip install 'airflow-provider-afilnet[oauth]'."
    assert str(error) == sentence
