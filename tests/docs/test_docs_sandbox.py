"""``docs/sandbox.md``: its commands run, its tables are complete, the doctor says what stands there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
import requests
from docs.pages import claim, names_in, prose_of, section, table

from airflow_provider_afilnet.sandbox import Dialect, Sandbox
from airflow_provider_afilnet.sandbox.__main__ import _parser
from airflow_provider_afilnet.sandbox.dialect import dialects_of
from airflow_provider_afilnet.sandbox.faults import KINDS

PAGE = "docs/sandbox.md"
CURLS = claim(PAGE, "bash", "curl -d")
COMMANDS = claim(PAGE, "bash", "afilnet contacts import")
DOCTOR = claim(PAGE, "text", "reachability")
PLAIN = claim(PAGE, "python", "RefreshOptions.read")


def test_the_options_of_the_command() -> None:
    named = [name for row in table(section(PAGE, "Starting it")) for name in re.findall(r"`(--\w+)`", row[0])]
    options = [action.option_strings[-1] for action in _parser("sandbox")._actions if action.dest != "help"]
    assert sorted(named) == sorted(options)
    defaults = {action.option_strings[-1]: action.default for action in _parser("sandbox")._actions}
    text = section(PAGE, "Starting it")
    for option in ("--host", "--port", "--user", "--password"):
        assert str(defaults[option]) in text


def test_the_command_and_its_faults_and_dialects_are_accepted() -> None:
    text = prose_of(PAGE)
    faults = [argument for fault in re.findall(r"`--fault ([a-z]\S+)`", text) for argument in ("--fault", fault)]
    dialects = [word for words in re.findall(r"`--dialect ([^`]+)`", text) for word in words.split()]
    assert len(faults) >= 6
    assert len(dialects) >= 2
    command = [sys.executable, "-m", "airflow_provider_afilnet.sandbox", "--port", "0", "--latency", "0.1", *faults]
    process = subprocess.Popen([*command, "--dialect", *dialects], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert "http://127.0.0.1:" in process.stdout.readline()
    finally:
        process.terminate()
        process.communicate(timeout=10)


def test_the_tables_of_faults_and_dialects_are_complete() -> None:
    named: dict[str, set[str]] = {}
    for kinds, _, takes in table(section(PAGE, "Faults")):
        for kind in names_in(kinds):
            named[kind] = set(names_in(takes))
    assert named == {kind: set(known.detail) for kind, known in KINDS.items()}
    always = set(names_in(section(PAGE, "Faults").rpartition("Each also takes")[2]))
    with Sandbox() as sandbox:
        fault = sandbox.fail("drop_before", methods="addcontact", first=1, count=1, every=1, after=0, probability=0.5)
        assert always == set(fault.described()) - {"id", "kind", "hits"}
    rows = table(section(PAGE, "Dialects"))
    assert [names_in(row[0])[0] for row in rows] == [field.name for field in fields(Dialect)]
    for (name,), cell in ((names_in(row[0]), row[1]) for row in rows):
        values = [str(value).lower() for value in dialects_of(name)] or [getattr(Dialect(), name)]
        assert names_in(cell) == values, name


def test_the_curl_lines_sign_in_and_read_the_balance() -> None:
    """The lines as they stand there, one for POST, GET and Basic; only the port is the test's own."""
    assert shutil.which("curl"), "curl is needed: apt-get install curl"
    lines = CURLS.splitlines()
    assert len(lines) == 3
    (printed,) = re.findall(r"^Each prints `(.*?)`", prose_of(PAGE), re.MULTILINE)
    with Sandbox() as sandbox:
        for line in lines:
            assert "http://127.0.0.1:8765/" in line
            ran = line.replace("http://127.0.0.1:8765", sandbox.url)
            done = subprocess.run(["/bin/sh", "-c", ran], capture_output=True, text=True, timeout=30)
            assert (done.returncode, done.stdout) == (0, printed), line
        assert [(call.style, call.method, call.status) for call in sandbox.calls] == [
            ("post", "getbalance", 200),
            ("get", "getbalance", 200),
            ("basic", "getbalance", 200),
        ]


def test_the_control_endpoints_take_what_the_table_shows() -> None:
    """Each ``POST`` and ``PUT`` with each JSON body of its row; each ``GET`` answers."""
    tried = 0
    with Sandbox() as sandbox:
        sandbox.add_account("shop", "old")
        address = ""
        for cell, meaning in table(section(PAGE, "Control endpoints")):
            for method, path in re.findall(r"`(GET|PUT|POST) ([^`?]+)[^`]*`", cell):
                address = path.replace("ID", "1000")
                if method == "GET":
                    answer = requests.get(f"{sandbox.url}/_sandbox/{address}", timeout=10)
                    assert answer.status_code == 200, address
            method = "PUT" if "PUT" in cell else "POST"
            for body in re.findall(r"`(\{.*?\})`(?=[,;. ]|$)", meaning):
                if "GET" in cell and "POST" not in cell and "PUT" not in cell:
                    assert requests.get(f"{sandbox.url}/_sandbox/{address}", timeout=10).json() == json.loads(body)
                    continue
                answer = requests.request(
                    method, f"{sandbox.url}/_sandbox/{address}", json=json.loads(body), timeout=10
                )
                assert answer.ok, (address, body, answer.text)
                tried += 1
            if address == "groups" and not sandbox.groups():
                raise AssertionError("no group was made")
    assert tried >= 7


def shell(script: str, folder: Path, password: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "AFILNET"))}
    environment = {**kept, "PATH": path}
    script = script.replace("AFILNET_PASSWORD=demo", f"AFILNET_PASSWORD={password}")
    return subprocess.run(
        ["bash", "-e", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )


def test_the_command_line_block_runs(sandbox: Sandbox, tmp_path: Path) -> None:
    """Every line, as the shell runs it."""
    group_id = sandbox.create_group("g", "mobile", ["mobile", "name"], [{"mobile": "34600000001", "name": "Ana"}])
    block = COMMANDS.replace("http://127.0.0.1:8765", sandbox.url).replace(" 1000 ", f" {group_id} ")
    assert len(re.findall(r"^afilnet ", block, re.MULTILINE)) == 5
    done = shell(block, tmp_path, sandbox.password)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "api_facts" in done.stdout
    assert done.stdout.rstrip().splitlines()[-1].startswith("1 rows: 0 added, 0 updated, 1 unchanged")
    assert [group["id"] for group in sandbox.groups()] == [group_id]


def test_the_doctor_prints_what_the_page_shows(sandbox: Sandbox, tmp_path: Path) -> None:
    exports, _, _ = COMMANDS.partition("\n")
    done = shell(f"{exports}\nafilnet doctor".replace("http://127.0.0.1:8765", sandbox.url), tmp_path, sandbox.password)
    assert done.returncode == 0, done.stdout + done.stderr

    def alike(text: str) -> list[str]:
        return re.sub(r"127\.0\.0\.1(:|, port )\d+|\d+ ms", "N", text).splitlines()

    assert alike(done.stdout) == alike(DOCTOR)


@pytest.mark.parametrize("trouble", ["", "http_500", "error"])
def test_the_plain_python_block_refreshes_a_group(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    monkeypatch.chdir(tmp_path)
    group_id = sandbox.create_group("g", "mobile", ["mobile", "name"])
    if trouble == "http_500":
        # Longer than a run waits.
        sandbox.fail("http_500", methods="getcontacts", retry_after=3600)
    elif trouble:
        sandbox.fail("error", methods="getcontacts", code="INCORRECT_USER_PASSWORD")
    block = PLAIN.replace("http://127.0.0.1:8765", sandbox.url).replace('"1000"', repr(group_id))
    block = block.replace('password="demo"', f"password={sandbox.password!r}")
    exec(compile(block, PAGE, "exec"), {})
    said = capsys.readouterr().out
    report = json.loads((tmp_path / "reports" / "report.json").read_text())
    if trouble:
        # Airflow 3.0 logs on the same stream.
        told = "again later: " if trouble == "http_500" else "this needs somebody: "
        assert [line for line in said.splitlines() if line.startswith(told)]
        assert report["status"] == "failed"
        assert sandbox.contacts(group_id) == []
    else:
        assert "1 added" in said
        assert "1 suppressed" in said
        assert report["status"] == "success"
        assert [c["mobile"] for c in sandbox.contacts(group_id)] == ["34600000001"]
