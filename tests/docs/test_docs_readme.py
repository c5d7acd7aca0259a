"""The README says what is true: its code runs, its tables are complete, its commands exist."""

from __future__ import annotations

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_afilnet.sandbox import Sandbox

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def section(title: str) -> str:
    """The text between a heading and the next one of the same or a higher level."""
    marks = re.search(rf"^(#+) {re.escape(title)}$", README, re.MULTILINE)
    assert marks, title
    rest = README[marks.end() :]
    end = re.search(rf"^#{{1,{len(marks[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def table_names(text: str) -> list[str]:
    """Names in the first column of a table."""
    names = []
    for row in re.findall(r"^\| (`[^|]*) \|", text, re.MULTILINE):
        names += re.findall(r"`([\w.-]+)`", row)
    return names


PLAIN = [block for block in BLOCKS if "Refresh(" in block]
# Files of a user's own test, which tests/plugin runs as a whole.
FILES = [block for block in BLOCKS if re.match(r"# \S+\.py\n", block)]
IN_DAGS = [block for block in BLOCKS if block not in PLAIN + FILES]


@pytest.mark.parametrize("block", IN_DAGS, ids=range(len(IN_DAGS)))
def test_code_blocks_run_in_a_dag_file(block: str) -> None:
    """Each block is complete Python; operators are built as a DAG file would build them."""
    source = (
        "from airflow_provider_afilnet.transfers.sql_to_afilnet_group import SqlToAfilnetGroupOperator\n"
        "from airflow_provider_afilnet.operators.contacts import AfilnetUpsertContactsOperator\n"
    )
    names: dict[str, object] = {}
    exec(compile(source + block, "README.md", "exec"), names)


def test_the_plain_python_block_refreshes_a_group(sandbox, capsys) -> None:
    (block,) = PLAIN
    group_id = sandbox.create_group("g", "mobile", ["mobile", "name"])
    block = block.replace("http://127.0.0.1:8765", sandbox.url).replace('"1000"', repr(group_id))
    block = block.replace('password="demo"', f"password={sandbox.password!r}")
    exec(compile(block, "README.md", "exec"), {})
    assert "1 added" in capsys.readouterr().out
    assert [c["mobile"] for c in sandbox.contacts(group_id)] == ["34600000001"]


def test_the_environment_block_is_a_working_connection(monkeypatch) -> None:
    from airflow_provider_afilnet.hooks.afilnet import AfilnetHook

    (value,) = re.findall(r"export AIRFLOW_CONN_AFILNET_DEFAULT='(.*)'", README)
    json.loads(value)
    monkeypatch.setenv("AIRFLOW_CONN_AFILNET_DEFAULT", value)
    assert AfilnetHook().settings.base_url == "https://www.afilnet.com"


CONNECTIONS = re.findall(r"```json\n(.*?)```", section("SOAP, and JSON with OAuth 2.0"), re.DOTALL)


@pytest.mark.parametrize("block", CONNECTIONS, ids=range(len(CONNECTIONS)))
def test_the_example_connections_work(block: str, sandbox, monkeypatch) -> None:
    """Each reads the balance once its addresses are those of a sandbox that knows its user or its client."""
    from airflow_provider_afilnet.hooks.afilnet import AfilnetHook

    assert len(CONNECTIONS) == 3
    text = re.sub(r"https://[a-z]+\.example\.com", sandbox.url, block)
    user, client = json.loads(block).get("login", "someone"), json.loads(block)["extra"].get("client_id")
    sandbox.add_account(user, "secret", balance=7)
    if client:
        sandbox.add_client(user, client, "its-secret")
    monkeypatch.setenv("AIRFLOW_CONN_AFILNET_DEFAULT", text)
    assert AfilnetHook().test_connection() == (True, f"Signed in at {sandbox.url}; the account has 7 credits.")


def test_the_options_table_is_complete_and_its_defaults_are_true() -> None:
    from airflow_provider_afilnet.operators.refresh import AfilnetRefreshOperator

    parameters = inspect.signature(AfilnetRefreshOperator.__init__).parameters
    options = [name for name in parameters if name not in ("self", "group_id", "kwargs")]
    text = section("The refresh")
    assert sorted(table_names(text)) == sorted(options)
    for names, default in re.findall(r"^\| (`[^|]*) \| ([^|]*) \|", text, re.MULTILINE):
        shown = [part.strip().strip("`") for part in default.split(",")]
        for name, value in zip(re.findall(r"`(\w+)`", names), shown * 9, strict=False):
            true = parameters[name].default
            expected = {None: ("none", "from the columns"), True: ("true",), False: ("false",)}
            if isinstance(true, (bool, type(None))):
                assert value in expected[true], name
            elif isinstance(true, str):
                assert value == true, name
            else:
                assert float(value) == float(true), name


def test_the_operators_table_names_every_public_class() -> None:
    from airflow.providers.common.compat.sdk import BaseOperator

    from airflow_provider_afilnet.operators import contacts, groups
    from airflow_provider_afilnet.sensors import groups as sensors
    from airflow_provider_afilnet.transfers import sql_to_afilnet_group

    public = {
        name
        for module in (contacts, groups, sensors, sql_to_afilnet_group)
        for name, found in vars(module).items()
        if inspect.isclass(found) and issubclass(found, BaseOperator) and found.__module__ == module.__name__
    }
    named = {name for name in table_names(section("Operators and sensors")) if name[0].isupper()}
    assert named == {name for name in public if not name.startswith("_")}


def test_the_extras_table_names_what_the_form_has() -> None:
    from airflow_provider_afilnet.get_provider_info import get_provider_info

    (connection_type,) = get_provider_info()["connection-types"]
    table = section("The connection").split("| extra |")[1]
    assert table_names(table) == list(connection_type["conn-fields"])


def test_links_and_make_targets_exist() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"(?:^|`)make (\w+)", section("Two commands") + section("Development"), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_sandbox_command_and_its_faults_are_accepted() -> None:
    text = section("The sandbox")
    faults = [argument for fault in re.findall(r"`--fault ([^`]+)`", text) for argument in ("--fault", fault)]
    assert len(faults) >= 6
    process = subprocess.Popen(
        [sys.executable, "-m", "airflow_provider_afilnet.sandbox", "--port", "0", "--latency", "0.1", *faults],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert "http://127.0.0.1:" in process.stdout.readline()
    finally:
        process.terminate()
        process.communicate(timeout=10)


def test_the_curl_lines_sign_in_and_read_the_balance() -> None:
    """The lines as they stand in the README, one for POST, GET and Basic; only the port is the test's own."""
    assert shutil.which("curl"), "curl is needed: apt-get install curl"
    lines = re.findall(r"^curl .*$", section("The sandbox"), re.MULTILINE)
    assert len(lines) == 3
    (printed,) = re.findall(r"^Each prints `(.*?)`", section("The sandbox"), re.MULTILINE)
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


def test_the_command_line_block_runs(sandbox, tmp_path) -> None:
    """Every line, as the shell runs it."""
    (block,) = re.findall(r"```bash\n(.*?)```", section("Command line"), re.DOTALL)
    group_id = sandbox.create_group("g", "mobile", ["mobile", "name"], [{"mobile": "34600000001", "name": "Ana"}])
    block = block.replace("http://127.0.0.1:8765", sandbox.url).replace(" 1000 ", f" {group_id} ")
    block = block.replace("AFILNET_PASSWORD=demo", f"AFILNET_PASSWORD={sandbox.password}")
    assert len(re.findall(r"^afilnet ", block, re.MULTILINE)) == 5
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "AFILNET"))}
    done = subprocess.run(
        ["bash", "-e", "-c", block],
        cwd=tmp_path,
        env={**kept, "PATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "api_facts" in done.stdout
    assert done.stdout.rstrip().splitlines()[-1].startswith("1 rows: 0 added, 0 updated, 1 unchanged")
    assert [group["id"] for group in sandbox.groups()] == [group_id]


def test_no_place_is_left_to_be_filled_in() -> None:
    assert not re.search(r"@[A-Z]+@|TODO|XXX", README)


def test_nothing_names_this_machine() -> None:
    """A stranger's clone must need nothing but itself."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    here = [str(Path.home()) + "/", str(ROOT)]
    for name in tracked:
        path = ROOT / name
        if path.suffix in (".py", ".md", ".toml", ".txt", "") and path.is_file():
            text = path.read_text()
            assert not any(place in text for place in here), name
    constraints = (ROOT / "constraints.txt").read_text()
    assert "://" not in constraints
    assert re.search(r"^apache-airflow==3\.", constraints, re.MULTILINE)
