"""Where user and password come from, and that nobody else gets to see them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
from afilnet_process import PASSWORD, afilnet, clean_environment, environment_for
from airflow_of import VERSION

from airflow_provider_afilnet.api.errors import AfilnetConfigurationError
from airflow_provider_afilnet.api.settings import read_settings
from airflow_provider_afilnet.cli.airflow_connection import read_connection
from airflow_provider_afilnet.cli.credentials import find_settings
from airflow_provider_afilnet.sandbox import Sandbox

HARD = "p@ss:w/rd?#%&=+ ñ"


def as_json(**fields: object) -> str:
    return json.dumps({"conn_type": "afilnet", "login": "me", "password": HARD, **fields})


URIS = [
    f"afilnet://me:{quote(HARD, safe='')}@",
    f"afilnet://me:{quote(HARD, safe='')}@www.afilnet.com",
    f"afilnet://me%40example.org:{quote(HARD, safe='')}@api.example.org:8443/https?timeout=7",
    f"afilnet://https://me:{quote(HARD, safe='')}@api.example.org/",
    f"afilnet://me:{quote(HARD, safe='')}@https%3A%2F%2Fapi.example.org",
    f"afilnet://me:{quote(HARD, safe='')}@/?__extra__=" + quote('{"timeout": 9, "api_facts": {"modify_merges": true}}'),
    f"afilnet://me:{quote(HARD, safe='')}@h?api_style=basic&allow_insecure_http=false",
]


@pytest.mark.parametrize("uri", URIS)
def test_a_uri_is_read_as_airflow_reads_it(uri: str) -> None:
    from airflow.models.connection import Connection

    true = Connection(conn_id="c", uri=uri)
    fields = read_connection(uri, "The connection")
    assert (fields.host or "", fields.schema or "", fields.port) == (true.host or "", true.schema or "", true.port)
    assert (fields.login, fields.password) == (true.login, true.password)
    assert fields.password == HARD
    # Airflow 3.0 leaves the values of a query as text, which the settings read too.
    extra = fields.extra if VERSION >= (3, 1) or "__extra__" in uri else dict(parse_qsl(urlsplit(uri).query))
    assert extra == true.extra_dejson
    assert read_settings(**fields._replace(extra=extra)._asdict()) == read_settings(**fields._asdict())


@pytest.mark.parametrize("extra", [{"timeout": 9}, '{"timeout": 9}', None, ""])
def test_json(extra: object) -> None:
    text = as_json(host="api.example.org", port="8443", extra=extra)
    settings, source = find_settings(None, {"AIRFLOW_CONN_AFILNET_DEFAULT": text})
    assert (settings.base_url, settings.user, settings.password) == ("https://api.example.org:8443", "me", HARD)
    assert settings.timeout == (9 if extra else 60)
    assert source == "AIRFLOW_CONN_AFILNET_DEFAULT"


def test_a_named_connection_wins_and_else_there_must_be_one_account() -> None:
    environment = {
        "AIRFLOW_CONN_OTHER": as_json(login="other"),
        "AIRFLOW_CONN_AFILNET_DEFAULT": as_json(login="default"),
        "AFILNET_USER": "own",
        "AFILNET_PASSWORD": "x",
    }
    assert find_settings("other", environment)[0].user == "other"
    assert find_settings("afilnet_default", environment)[0].user == "default"
    default = environment.pop("AIRFLOW_CONN_AFILNET_DEFAULT")
    assert find_settings(None, environment)[0].user == "own"
    assert find_settings(None, {"AIRFLOW_CONN_AFILNET_DEFAULT": default, "AFILNET_USER": ""})[0].user == "default"


@pytest.mark.parametrize("name", ["AFILNET_USER", "AFILNET_PASSWORD", "AFILNET_HOST", "AFILNET_EXTRA"])
def test_two_accounts_are_not_chosen_between(box: Sandbox, name: str) -> None:
    """A connection to the real account is often there for good, and the variables are those of a test."""
    value = {"AFILNET_EXTRA": '{"timeout": 3}'}.get(name, "http://127.0.0.1:1")
    env = clean_environment(
        AIRFLOW_CONN_AFILNET_DEFAULT=as_json(host=box.url, login=box.user, password=PASSWORD), **{name: value}
    )
    out = afilnet("doctor", env=env)
    assert (out.code, len(box.calls)) == (2, 0), out.said
    told = " ".join(out.err.split())
    assert f"Both AIRFLOW_CONN_AFILNET_DEFAULT and {name} are in the environment" in told
    assert "--connection afilnet_default, or unset AIRFLOW_CONN_AFILNET_DEFAULT" in told
    assert afilnet("doctor", "--connection", "afilnet_default", env=env).code == 0


@pytest.mark.parametrize(
    "text",
    [
        "{not json " + HARD,
        as_json(conn_type="http"),
        as_json(passwort="x"),
        as_json(port="many"),
        as_json(login=7),
        as_json(extra="[1]"),
        as_json(extra={"verify": False}),
        "http://me:" + quote(HARD, safe="") + "@h",
        "afilnet://me:" + quote(HARD, safe="") + "@h:port",
        "afilnet://[" + quote(HARD, safe=""),
    ],
)
def test_a_connection_that_cannot_be_used_is_not_shown(text: str) -> None:
    with pytest.raises(AfilnetConfigurationError) as caught:
        find_settings("mine", {"AIRFLOW_CONN_MINE": text})
    assert HARD not in str(caught.value)
    assert quote(HARD, safe="") not in str(caught.value)
    assert "'mine'" in str(caught.value)


def test_without_credentials_one_sentence_says_where_they_may_come_from() -> None:
    out = afilnet("doctor", env=clean_environment())
    assert out.code == 2
    error = " ".join(out.err.split("Error: ")[1].split())
    assert error.startswith("There are no credentials: export AIRFLOW_CONN_AFILNET_DEFAULT, or AFILNET_USER and")
    assert error.count(". ") == 0


def test_a_connection_that_is_not_in_the_environment() -> None:
    out = afilnet("doctor", "--connection", "mine", env=clean_environment(AFILNET_USER="me", AFILNET_PASSWORD=PASSWORD))
    assert out.code == 2
    assert "export AIRFLOW_CONN_MINE" in out.err


def test_half_of_the_variables() -> None:
    out = afilnet("contacts", "export", "1000", env=clean_environment(AFILNET_USER="me"))
    assert out.code == 2
    assert "has no password" in " ".join(out.err.split())


CLIENT = {
    "api_style": "json",
    "json_url": "https://api.example.org/api/json/",
    "token_url": "https://api.example.org/oauth/token",
    "client_id": "an-id",
    "client_secret": HARD,
}


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A real terminal as this process's input; yields the other end, where a user would type."""
    user, program = os.openpty()
    with os.fdopen(program) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        yield user
    os.close(user)


@pytest.mark.parametrize("grant", [{}, {"grant_type": "client_credentials"}])
def test_a_client_alone_is_a_source(grant: dict[str, str]) -> None:
    settings, source = find_settings(None, {"AFILNET_EXTRA": json.dumps(CLIENT | grant)})
    assert (settings.user, settings.client_id, settings.client_secret) == ("", "an-id", HARD)
    assert source == "AFILNET_EXTRA"


def test_a_client_is_not_asked_for_a_user_on_a_terminal(terminal: int) -> None:
    # What a prompt would read; nobody asks, so it stays there.
    os.write(terminal, b"somebody\nsomething\n")
    settings, source = find_settings(None, {"AFILNET_EXTRA": json.dumps(CLIENT)})
    assert (settings.user, settings.password, source) == ("", "", "AFILNET_EXTRA")


@pytest.mark.parametrize("missing", ["json_url", "token_url", "client_id", "client_secret"])
def test_half_a_client_says_what_is_missing(missing: str) -> None:
    extra = {name: value for name, value in CLIENT.items() if name != missing}
    out = afilnet("doctor", env=clean_environment(AFILNET_EXTRA=json.dumps(extra)))
    assert out.code == 2
    said = " ".join(out.err.split())
    assert f"api_style 'json' needs the extra '{missing}'" in said
    assert HARD not in said


def test_a_client_with_the_grant_password_needs_a_user() -> None:
    extra = json.dumps(CLIENT | {"grant_type": "password"})
    out = afilnet("doctor", env=clean_environment(AFILNET_EXTRA=extra))
    assert out.code == 2
    assert "There are no credentials" in out.err


def test_the_extras_are_the_connection_s(box: Sandbox) -> None:
    env = environment_for(box)
    assert afilnet("doctor", env={**env, "AFILNET_EXTRA": '{"api_style": "basic"}'}).code == 0
    assert {call.style for call in box.calls} == {"basic"}
    out = afilnet("doctor", env={**env, "AFILNET_EXTRA": '{"shape": 1}'})
    assert (out.code, "unknown extra 'shape'" in " ".join(out.err.split())) == (2, True)
    out = afilnet("doctor", env={**env, "AFILNET_EXTRA": "{nonsense"})
    assert (out.code, "AFILNET_EXTRA must be a JSON object" in " ".join(out.err.split())) == (2, True)


def test_plain_http_elsewhere_is_refused_before_anything_is_sent() -> None:
    env = clean_environment(AFILNET_USER="me", AFILNET_PASSWORD=PASSWORD, AFILNET_HOST="http://api.example.org")
    out = afilnet("doctor", env=env)
    assert out.code == 2
    assert "unencrypted" in out.err
