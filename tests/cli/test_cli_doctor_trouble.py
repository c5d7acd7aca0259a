"""The doctor where nothing works: one sentence says what is wrong, and nothing was written."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import pytest
from afilnet_process import Ended, account, afilnet, environment_for
from certificates import self_signed
from raw_server import raw_server

from airflow_provider_afilnet.sandbox import Sandbox


def failure(ended: Ended) -> str:
    """The one line that says what failed."""
    assert ended.code == 1, ended.said
    # The GET styles warn of themselves.
    assert not ended.err or ended.err.startswith("api_style ")
    (line,) = [line for line in ended.out.splitlines() if line.startswith("failed")]
    sentence = line.removeprefix("failed").strip()
    assert sentence.endswith((".", "?"))
    # One sentence: no full stop before another word's beginning.
    assert not re.search(r"[.!?] [A-Z]", sentence), sentence
    return sentence


def doctor(host: str, folder: Path, **extra: object) -> str:
    sentence = failure(afilnet("doctor", "--create", "--yes", "--report", folder, env=account(host, **extra)))
    assert not folder.exists()
    return sentence


def test_a_dead_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    sentence = doctor(f"http://127.0.0.1:{port}", tmp_path / "r")
    assert sentence.startswith(f"reachability: nothing listens on port {port} of 127.0.0.1;")


def test_a_name_that_is_none(tmp_path: Path) -> None:
    sentence = doctor("https://no-such-host.invalid", tmp_path / "r")
    assert sentence.startswith("reachability: the name 'no-such-host.invalid' cannot be resolved;")


def test_https_to_a_server_without_tls(box: Sandbox, tmp_path: Path) -> None:
    sentence = doctor(f"https://127.0.0.1:{box.port}", tmp_path / "r")
    assert sentence.startswith(f"TLS: 127.0.0.1 does not speak TLS on port {box.port};")
    assert box.calls == []


def test_a_server_that_says_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sentence = doctor(f"https://127.0.0.1:{listener.getsockname()[1]}", tmp_path / "r", timeout=1)
    assert "said nothing" in sentence


def test_a_certificate_that_nobody_trusts(tmp_path: Path) -> None:
    pem = self_signed(tmp_path / "self.pem")
    with raw_server(b"", pem) as port:
        sentence = doctor(f"https://127.0.0.1:{port}", tmp_path / "r")
        assert sentence.startswith("TLS: the certificate of 127.0.0.1 is not trusted (self-signed certificate)")
        assert "ca_bundle" in sentence


def test_a_ca_bundle_makes_it_trusted(tmp_path: Path) -> None:
    pem = self_signed(tmp_path / "self.pem")
    body = b'{"status": "SUCCESS", "result": "1.5"}'
    answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    with raw_server(answer, pem) as port:
        ended = afilnet("doctor", env=account(f"https://127.0.0.1:{port}", ca_bundle=str(pem)))
    assert ended.code == 0, ended.said
    assert "ok        TLS: TLSv1.3; the certificate is trusted" in ended.out
    assert "ok        balance: it can be read: text." in ended.out


@pytest.mark.parametrize("style", ["post", "get", "basic", "basic-get"])
def test_a_wrong_password(box: Sandbox, tmp_path: Path, style: str) -> None:
    env = account(box.url, box.user, "an0ther-passw0rd", api_style=style)
    ended = afilnet("doctor", "--create", "--yes", "--report", tmp_path / "r", env=env)
    assert "user or password are wrong" in failure(ended)
    assert box.writes == 0
    assert box.groups() == []


def answered(status: str, body: bytes, *headers: str) -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


GARBAGE = {
    "html": (answered("200 OK", b"<html>Hello</html>", "Content-Type: text/html"), "an HTML page"),
    "random bytes": (os.urandom(4096), "the connection was closed"),
    "random body": (answered("200 OK", bytes(range(128, 256)) * 8), "not a JSON object"),
    "empty 200": (answered("200 OK", b""), "not a JSON object"),
    "no content": (answered("204 No Content", b""), "HTTP 204"),
    "redirect": (answered("302 Found", b"", "Location: https://elsewhere.example/"), "https://elsewhere.example"),
    "server error": (answered("500 Internal Server Error", b"oops"), "HTTP 500"),
    "not found": (answered("404 Not Found", b"oops"), "HTTP 404"),
    "json of something else": (answered("200 OK", b'{"hello": "world"}'), "neither success nor error"),
    "a list": (answered("200 OK", b"[1, 2]"), "not a JSON object"),
    "nothing": (b"", "the connection was closed"),
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_a_server_that_is_no_afilnet(tmp_path: Path, kind: str) -> None:
    answer, said = GARBAGE[kind]
    with raw_server(answer) as port:
        sentence = doctor(f"http://127.0.0.1:{port}", tmp_path / "r")
    assert sentence.startswith("sign-in: ")
    assert said in sentence
    assert "host" in sentence, "the way out"


def test_a_balance_of_unknown_form(tmp_path: Path) -> None:
    with raw_server(answered("200 OK", b'{"status": "SUCCESS", "result": {"money": [1]}}')) as port:
        sentence = doctor(f"http://127.0.0.1:{port}", tmp_path / "r")
    assert "object with keys money and values of type list" in sentence


def test_alone_it_writes_nothing(box: Sandbox, tmp_path: Path) -> None:
    ended = afilnet("doctor", "--report", tmp_path / "r", env=environment_for(box))
    assert ended.code == 0
    assert box.groups() == []
    assert {call.method for call in box.calls if not call.error} == {"getbalance"}
    assert not (tmp_path / "r").exists()
    assert "--create or --group ID goes on" in ended.out


def test_nobody_to_ask(box: Sandbox, tmp_path: Path) -> None:
    ended = afilnet("doctor", "--create", "--report", tmp_path / "r", env=environment_for(box))
    assert ended.code == 2
    assert "add --yes" in ended.err
    assert "no other group is touched" in ended.out
    assert box.groups() == []
