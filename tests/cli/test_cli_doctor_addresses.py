"""The doctor with style json or soap: each address of its own is checked, and the sentence names the right extra."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest
from afilnet_process import PASSWORD, Ended, account, afilnet, clean_environment
from certificates import self_signed
from raw_server import raw_server
from test_cli_doctor_trouble import answered, failure

from airflow_provider_afilnet.sandbox import Sandbox

SECRET = "an-0auth-secret"
EXTRAS = ["json_url", "token_url", "wsdl_url"]
NOWHERE = "http://127.0.0.1:9"


def addresses(box: Sandbox, extra: str, **changed: str) -> dict[str, str]:
    """The extras of the style that has ``extra``, all of them right but those ``changed``."""
    if extra == "wsdl_url":
        return {"api_style": "soap", "wsdl_url": f"{box.url}/soap?wsdl", **changed}
    box.add_client(box.user, "an-id", SECRET)
    client = {"client_id": "an-id", "client_secret": SECRET}
    urls = {"json_url": f"{box.url}/api/json/", "token_url": f"{box.url}/oauth/token"}
    return {"api_style": "json", **client, **urls, **changed}


def doctor(box: Sandbox, extra: str, *, password: str = PASSWORD, **changed: str) -> Ended:
    """The host is one where nobody listens: these styles do not use it."""
    ended = afilnet("doctor", env=account(NOWHERE, box.user, password, **addresses(box, extra, **changed)))
    assert SECRET not in ended.said
    return ended


@pytest.mark.parametrize("extra", EXTRAS)
def test_all_right(box: Sandbox, extra: str) -> None:
    ended = doctor(box, extra)
    assert ended.code == 0, ended.said
    assert ended.out.startswith(f"Afilnet at {box.url}, credentials from ")
    assert NOWHERE not in ended.said


@pytest.mark.parametrize("extra", EXTRAS)
def test_dead(box: Sandbox, extra: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    sentence = failure(doctor(box, extra, **{extra: f"http://127.0.0.1:{port}/x?wsdl"}))
    assert sentence == (
        f"reachability: nothing listens on port {port} of 127.0.0.1; check the connection's extra '{extra}'."
    )
    assert box.calls == []


@pytest.mark.parametrize("extra", EXTRAS)
def test_a_name_that_is_none(box: Sandbox, extra: str) -> None:
    sentence = failure(doctor(box, extra, **{extra: "https://no-such-host.invalid/x"}))
    assert sentence.startswith("reachability: the name 'no-such-host.invalid' cannot be resolved;")
    assert f"extra '{extra}'" in sentence


@pytest.mark.parametrize("extra", EXTRAS)
def test_without_tls(box: Sandbox, extra: str) -> None:
    with raw_server(b"hello") as port:
        sentence = failure(doctor(box, extra, **{extra: f"https://127.0.0.1:{port}/x"}))
    assert sentence.startswith(f"TLS: 127.0.0.1 does not speak TLS on port {port}; check the connection's extra")
    assert f"extra '{extra}'" in sentence
    assert box.calls == []


@pytest.mark.parametrize("extra", EXTRAS)
def test_a_certificate_that_nobody_trusts(box: Sandbox, tmp_path: Path, extra: str) -> None:
    with raw_server(b"", self_signed(tmp_path / "self.pem")) as port:
        sentence = failure(doctor(box, extra, **{extra: f"https://127.0.0.1:{port}/x"}))
    assert sentence.startswith("TLS: the certificate of 127.0.0.1 is not trusted")
    assert f"check the connection's extra '{extra}', or name" in sentence


GARBAGE = {
    "html": answered("200 OK", b"<html>Hello</html>", "Content-Type: text/html"),
    "random bytes": os.urandom(4096),
    "empty 200": answered("200 OK", b""),
    "json of something else": answered("200 OK", b'{"hello": "world"}'),
    "redirect": answered("302 Found", b"", "Location: https://elsewhere.example/"),
    "not found": answered("404 Not Found", b"oops"),
    "server error": answered("500 Internal Server Error", b"oops"),
}


@pytest.mark.parametrize("extra", EXTRAS)
@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage(box: Sandbox, extra: str, kind: str) -> None:
    with raw_server(GARBAGE[kind]) as port:
        sentence = failure(doctor(box, extra, **{extra: f"http://127.0.0.1:{port}/x"}))
    assert sentence.startswith("sign-in: ")
    named = [name for name in EXTRAS if f"'{name}'" in sentence]
    if (extra, kind) == ("json_url", "redirect"):
        # The client's own sentence, which is one for all styles.
        assert extra in named
        assert "https://elsewhere.example" in sentence
    else:
        assert named == [extra]
        assert "host" not in sentence, "the styles do not use it"


def test_a_wrong_client(box: Sandbox) -> None:
    sentence = failure(doctor(box, "token_url", client_secret="an0ther-secret"))
    assert "refused the sign-in (invalid_client); check 'client_id' and 'client_secret'" in sentence
    assert "an0ther-secret" not in sentence


def test_a_wrong_password_for_a_token(box: Sandbox) -> None:
    sentence = failure(doctor(box, "token_url", grant_type="password", password="an0ther-passw0rd"))
    assert "refused the sign-in (invalid_grant)" in sentence
    assert "login and password" in sentence


def test_a_wrong_password_for_soap(box: Sandbox) -> None:
    assert "user or password are wrong" in failure(doctor(box, "wsdl_url", password="an0ther-passw0rd"))


@pytest.mark.parametrize(
    ("extra", "grant_type", "said"),
    [
        ("token_url", "client_credentials", "the OAuth client is accepted (api_style json)."),
        ("token_url", "password", "user and password are right (api_style json)."),
        ("wsdl_url", "client_credentials", "user and password are right (api_style soap)."),
    ],
)
def test_who_was_accepted(box: Sandbox, extra: str, grant_type: str, said: str) -> None:
    ended = doctor(box, extra, grant_type=grant_type)
    assert ended.code == 0, ended.said
    assert f"ok        sign-in: {said}" in ended.out


def test_a_client_needs_no_user(box: Sandbox, tmp_path: Path) -> None:
    env = clean_environment(AFILNET_EXTRA=json.dumps({"max_requests_per_second": 0, **addresses(box, "token_url")}))
    ended = afilnet("doctor", "--create", "--yes", "--report", tmp_path, "--longest-list", "20", env=env)
    assert ended.code == 0, ended.said
    assert ended.out.startswith(f"Afilnet at {box.url}, credentials from AFILNET_EXTRA.")
    assert "the OAuth client is accepted" in ended.out
    assert "password are right" not in ended.out
    report = json.loads((tmp_path / "afilnet-doctor.json").read_text())
    assert report["host"] == f"127.0.0.1:{box.port}"
    assert f", 127.0.0.1:{box.port}, api_style `json`" in (tmp_path / "afilnet-doctor.md").read_text()
    assert SECRET not in ended.said
