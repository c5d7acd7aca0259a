"""OAuth 2.0 at the sandbox, seen by bare HTTP: tokens, their errors, and the JSON calls that they sign in."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from airflow_provider_afilnet.sandbox import Sandbox

pytestmark = pytest.mark.timeout(30)

CLIENT = ("an-id", "a-secret")
BY_CLIENT = {"grant_type": "client_credentials"}
BY_USER = {"grant_type": "password", "username": "u", "password": "pw-secret"}


@pytest.fixture(autouse=True)
def _client(box: Sandbox) -> None:
    box.add_client("u", *CLIENT)


def ask(box: Sandbox, form: dict[str, str], **more: Any) -> requests.Response:
    return requests.post(f"{box.url}/oauth/token", form, timeout=10, **more)


def token(box: Sandbox) -> str:
    return ask(box, BY_CLIENT, auth=CLIENT).json()["access_token"]


def call(box: Sandbox, bearer: str | None, body: Any) -> requests.Response:
    headers = {} if bearer is None else {"Authorization": f"Bearer {bearer}"}
    return requests.post(f"{box.url}/api/json/", json=body, headers=headers, timeout=10)


def test_a_token_as_rfc_6749_describes_it(box: Sandbox) -> None:
    response = ask(box, {**BY_CLIENT, "scope": "a b"}, auth=CLIENT)
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store"
    found = response.json()
    assert (found["token_type"], found["expires_in"], found["scope"]) == ("Bearer", 3600, "a b")
    assert len(found["access_token"]) > 20
    assert found["access_token"] != token(box)
    assert box.token_requests == 2


@pytest.mark.parametrize(
    ("form", "auth", "status", "error"),
    [
        (BY_CLIENT, None, 401, "invalid_client"),
        (BY_CLIENT, ("an-id", "wrong"), 401, "invalid_client"),
        (BY_CLIENT, ("nobody", "a-secret"), 401, "invalid_client"),
        (BY_CLIENT, ("", ""), 401, "invalid_client"),
        ({**BY_CLIENT, "client_id": "an-id"}, None, 401, "invalid_client"),
        ({}, CLIENT, 400, "invalid_request"),
        ({"grant_type": "authorization_code"}, CLIENT, 400, "unsupported_grant_type"),
        ({**BY_USER, "password": "wrong"}, None, 400, "invalid_grant"),
        ({**BY_USER, "username": "nobody"}, CLIENT, 400, "invalid_grant"),
        ({"grant_type": "password"}, None, 400, "invalid_grant"),
        (BY_USER, ("an-id", "wrong"), 401, "invalid_client"),
    ],
)
def test_refusals_of_rfc_6749(box: Sandbox, form: Any, auth: Any, status: int, error: str) -> None:
    response = ask(box, form, auth=auth)
    assert (response.status_code, response.json()) == (status, {"error": error})


@pytest.mark.parametrize("auth", [None, CLIENT])
def test_the_grant_password(box: Sandbox, auth: Any) -> None:
    found = ask(box, BY_USER, auth=auth).json()["access_token"]
    assert call(box, found, {"class": "user", "method": "getbalance"}).json() == {"status": "SUCCESS", "result": "25.5"}


def test_a_client_signs_in_for_its_own_account_only(box: Sandbox) -> None:
    box.add_account("other", "pw")
    box.add_client("other", "other-id", "other-secret")
    form = {"grant_type": "password", "username": "other", "password": "pw"}
    assert ask(box, form, auth=CLIENT).json() == {"error": "invalid_grant"}
    group = box.create_group("g", "mobile", ["mobile"])
    body = {"class": "group", "method": "getgroupcolumns", "idgroup": group}
    assert call(box, token(box), body).json()["result"] == ["mobile"]
    other = ask(box, BY_CLIENT, auth=("other-id", "other-secret")).json()["access_token"]
    assert call(box, other, body).json()["error"] == "NOT_ACCESS_TO_GROUP"
    with pytest.raises(KeyError, match="nobody"):
        box.add_client("nobody", "x", "y")


def test_calls_need_a_token_that_counts(box: Sandbox) -> None:
    body = {"class": "user", "method": "getbalance"}
    missing = call(box, None, body)
    assert (missing.status_code, missing.headers["WWW-Authenticate"]) == (401, 'Bearer realm="Afilnet"')
    wrong = call(box, "wrong", body)
    assert (wrong.status_code, 'error="invalid_token"' in wrong.headers["WWW-Authenticate"]) == (401, True)
    given = token(box)
    assert call(box, given, body).status_code == 200
    box.expire_tokens()
    assert call(box, given, body).status_code == 401
    box.token_life = 0
    assert call(box, token(box), body).status_code == 401
    assert requests.get(f"{box.url}/api/json/", timeout=10).status_code == 405


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ([], "MISSING_CLASS"),
        ("text", "MISSING_CLASS"),
        ({}, "MISSING_CLASS"),
        ({"class": "group"}, "MISSING_METHOD"),
        ({"class": "group", "method": "nothing"}, "INCORRECT_METHOD"),
        ({"class": "group", "method": "getcontacts"}, "MISSING_COMPULSORY_PARAM"),
        ({"class": "group", "method": "getcontacts", "idgroup": 5}, "NOT_ACCESS_TO_GROUP"),
    ],
)
def test_the_codes_are_those_of_the_other_styles(box: Sandbox, body: Any, code: str) -> None:
    response = call(box, token(box), body)
    assert (response.status_code, response.json()["error"]) == (200, code)


def test_half_a_character_is_refused_and_not_a_breakdown(box: Sandbox) -> None:
    body = {"class": "group", "method": "creategroup", "name": "\ud800", "type": "mobile", "fields": "mobile"}
    response = call(box, token(box), body)
    assert (response.status_code, response.json()["error"]) == (200, "MISSING_CLASS")
    assert box.groups() == []


def test_numbers_and_lists_in_the_body_count_as_their_text(box: Sandbox) -> None:
    group = box.create_group("g", "mobile", ["mobile"])
    body = {"class": "group", "method": "addcontactlist", "idgroup": int(group), "contacts": [{"mobile": "34600"}]}
    assert call(box, token(box), body).json()["status"] == "SUCCESS"
    assert [contact["mobile"] for contact in box.contacts(group)] == ["34600"]


def test_the_log_holds_calls_and_no_secret(box: Sandbox) -> None:
    given = token(box)
    call(box, given, {"class": "user", "method": "getbalance", "password": "pw-secret", "access_token": given})
    ask(box, BY_USER, auth=CLIENT)
    (logged,) = box.calls
    assert (logged.method, logged.style, logged.status) == ("getbalance", "json", 200)
    assert not any(secret in repr(box.calls) for secret in ("pw-secret", "a-secret", given))


def test_faults_hit_json_calls_too(box: Sandbox) -> None:
    box.fail("http_500", methods="getbalance", status=503, retry_after=2)
    response = call(box, token(box), {"class": "user", "method": "getbalance"})
    assert (response.status_code, response.headers["Retry-After"]) == (503, "2")
