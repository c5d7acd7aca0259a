"""``docs/refresh.md``: options and result are complete, and each recipe does what it says."""

from __future__ import annotations

import inspect
import json
import re
import shlex
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from docs.operator_reference import arguments
from docs.pages import claim, names_in, names_of, section, table

from airflow_provider_afilnet.operators.refresh import AfilnetRefreshOperator
from airflow_provider_afilnet.refresh import options
from airflow_provider_afilnet.refresh.report import RefreshResult
from airflow_provider_afilnet.sandbox import Sandbox
from airflow_provider_afilnet.transfers.sql_to_afilnet_group import SqlToAfilnetGroupOperator

PAGE = "docs/refresh.md"
FIRST_MIRROR = claim(PAGE, "python", 'dag_id="first_mirror"')
DRY, REAL = claim(PAGE, "bash", '"dry_run": true'), claim(PAGE, "bash", '"dry_run": false')
OPT_OUTS = claim(PAGE, "python", "suppress_sql")
NATIONAL = claim(PAGE, "python", "bare_numbers=")
REPORT = claim(PAGE, "json", '"finished"')

pytestmark = pytest.mark.usefixtures("afilnet_conn")


@pytest.fixture
def warehouse(tmp_path: Path, make_conn: Callable[..., None]) -> Iterator[sqlite3.Connection]:
    path = tmp_path / "warehouse.sqlite"
    make_conn("warehouse", conn_type="sqlite", host=str(path))
    database = sqlite3.connect(path, isolation_level=None)
    yield database
    database.close()


def operator(block: str, group_id: str) -> Any:
    """The task that a recipe's block is, for another group."""
    assert 'group_id="1000"' in block
    return eval(block.replace('"1000"', repr(group_id)), {"SqlToAfilnetGroupOperator": SqlToAfilnetGroupOperator})


# --- tables ----------------------------------------------------------------------------------------------------------


def test_the_options_table_is_complete_and_its_defaults_are_true() -> None:
    parameters = {name: value for name, value in arguments(AfilnetRefreshOperator).items() if name != "group_id"}
    text = section(PAGE, "Options")
    assert sorted(names_of(text)) == sorted(parameters)
    for cell, default, meaning in table(text):
        shown = [part.strip().strip("`") for part in default.split(",")]
        for name, value in zip(names_in(cell), shown * 9, strict=False):
            true = parameters[name]
            expected = {None: ("none", "from the columns"), True: ("true",), False: ("false",)}
            if isinstance(true, (bool, type(None))):
                assert value in expected[true], name
            elif isinstance(true, str):
                assert value == true, name
            else:
                assert float(value) == float(true), name
        for word in get_args(getattr(options, "".join(part.title() for part in names_in(cell)[0].split("_")), None)):
            assert f"`{word}`" in f"{meaning} `{default}`", (cell, word)


def test_the_table_of_the_result_is_complete() -> None:
    assert sorted(names_of(section(PAGE, "The result"))) == sorted(inspect.get_annotations(RefreshResult))


def test_the_files_of_the_report_and_its_form(
    run_task: Callable[..., Any], sandbox: Sandbox, warehouse: sqlite3.Connection, tmp_path: Path
) -> None:
    """A run with the counts that the page shows."""
    told = json.loads(REPORT)
    stored = [{"mobile": f"3460000000{n}", "name": "Ana"} for n in range(5)]
    group = sandbox.create_group("g", "mobile", ["mobile", "name"], stored)
    assert group == "1000"
    warehouse.execute("CREATE TABLE customers (mobile TEXT, name TEXT)")
    people = [(f"3460000000{n}", "Eva" if n == 3 else "Ana") for n in (0, 1, 2, 3, 6, 7)]
    warehouse.executemany("INSERT INTO customers VALUES (?, ?)", people)
    rejected = SqlToAfilnetGroupOperator(
        task_id="refresh",
        sql_conn_id="warehouse",
        sql="SELECT mobile, name FROM customers",
        group_id=group,
        mode="mirror",
        report_path=str(tmp_path / "report"),
    )
    done = run_task(rejected)
    assert done.state == "success", done.error
    files = {path.name for path in (tmp_path / "report").iterdir()}
    assert files == set(names_of(section(PAGE, "The report")))
    made = json.loads((tmp_path / "report" / "report.json").read_text())
    differs = ("duration_s", "report_path", "plan_digest")
    assert list(made) == list(told)
    assert list(made["result"]) == list(told["result"])
    assert {**made["result"], **dict.fromkeys(differs)} == {**told["result"], **dict.fromkeys(differs)}
    assert len(made["result"]["plan_digest"]) == len(told["result"]["plan_digest"])
    assert (made["status"], made["error"], len(made["finished"])) == ("success", None, len(told["finished"]))


# --- recipes ---------------------------------------------------------------------------------------------------------


def test_the_first_mirror(
    run_dag: Callable[..., Any],
    sandbox: Sandbox,
    warehouse: sqlite3.Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Red and dry, then dry with the whole plan, then for good, then as always; with the commands' own ``--conf``."""
    people = [{"mobile": f"346{n:08d}", "name": "Ana"} for n in range(60)]
    group = sandbox.create_group("g", "mobile", ["mobile", "name"], people)
    warehouse.execute("CREATE TABLE customers (mobile TEXT, name TEXT)")
    kept = [(person["mobile"], person["name"]) for person in people[:30]]
    warehouse.executemany("INSERT INTO customers VALUES (?, ?)", [*kept, ("34700000001", "New")])
    monkeypatch.setenv("AIRFLOW_VAR_CUSTOMERS_GROUP", group)
    monkeypatch.setenv("AIRFLOW_VAR_AFILNET_REPORTS", str(tmp_path / "reports"))

    def run(command: str | None) -> Any:
        words = shlex.split(command) if command else []
        assert words[:4] in ([], ["airflow", "dags", "trigger", "first_mirror"])
        return run_dag("first_mirror", FIRST_MIRROR, conf=json.loads(words[5]) if words else None)

    assert run(None).state == "failed"
    assert run(DRY).values["refresh"]["deleted"] == 30
    assert len(sandbox.contacts(group)) == 60
    assert sandbox.writes == 0
    journals = [path.read_text().splitlines() for path in (tmp_path / "reports").rglob("journal.jsonl")]
    assert sorted(map(len, journals)) == [0, 31]
    real = run(REAL).values["refresh"]
    assert (real["added"], real["deleted"]) == (1, 30)
    (backup,) = (tmp_path / "reports").rglob("backup.jsonl")
    assert len(backup.read_text().splitlines()) == 30
    again = re.sub(r"^ +(dry_run|max_deletes)=.*\n", "", FIRST_MIRROR, flags=re.MULTILINE)
    assert len(again.splitlines()) == len(FIRST_MIRROR.splitlines()) - 2
    assert run_dag("first_mirror", again).values["refresh"]["unchanged"] == 31


def test_the_plan_of_a_dry_run_is_that_of_the_run(
    run_task: Callable[..., Any], sandbox: Sandbox, warehouse: sqlite3.Connection
) -> None:
    assert "equal plans have equal digests" in section(PAGE, "The result")
    group = sandbox.create_group("g", "mobile", ["mobile", "name"], [{"mobile": "34600000001"}])
    warehouse.execute("CREATE TABLE customers AS SELECT '34600000002' AS mobile, 'Ana' AS name")
    task = {"task_id": "t", "sql_conn_id": "warehouse", "sql": "SELECT * FROM customers", "mode": "mirror"}
    digests = {
        run_task(SqlToAfilnetGroupOperator(**task, group_id=group, dry_run=dry)).value["plan_digest"]
        for dry in (True, False)
    }
    assert len(digests) == 1


def test_opt_outs(run_task: Callable[..., Any], sandbox: Sandbox, warehouse: sqlite3.Connection) -> None:
    out = {"mobile": "34600000002", "name": "Out"}
    group = sandbox.create_group("g", "mobile", ["mobile", "name"], [out])
    warehouse.execute(
        "CREATE TABLE customers AS SELECT '3460000000' || value AS mobile, 'Ana' AS name FROM json_each('[1,2,3]')"
    )
    warehouse.execute("CREATE TABLE opt_outs (mobile TEXT)")
    # None at all stops the run, before anything is written.
    assert run_task(operator(OPT_OUTS, group)).state == "failed"
    assert sandbox.writes == 0
    warehouse.executemany("INSERT INTO opt_outs VALUES (?)", [("+34 600000002",), ("34600000003",)])
    done = run_task(operator(OPT_OUTS, group))
    assert done.state == "success", done.error
    assert (done.value["suppressed"], done.value["deleted_suppressed"]) == (2, 1)
    assert [contact["mobile"] for contact in sandbox.contacts(group)] == ["34600000001"]


def test_national_numbers(run_task: Callable[..., Any], sandbox: Sandbox, warehouse: sqlite3.Connection) -> None:
    """Each phone of the page's table becomes what stands beside it."""
    pairs = [
        re.findall(r"`([^`]+)`", f"{left} {right}")[:2] for left, right in table(section(PAGE, "National numbers"))
    ]
    assert len(pairs) >= 7
    warehouse.execute("CREATE TABLE customers (phone TEXT, full_name TEXT)")
    warehouse.executemany("INSERT INTO customers VALUES (?, ?)", [(typed, typed) for typed, _ in pairs])
    group = sandbox.create_group("g", "mobile", ["mobile", "name"])
    done = run_task(operator(NATIONAL, group))
    assert done.state == "success", done.error
    assert {contact["name"]: contact["mobile"] for contact in sandbox.contacts(group)} == dict(pairs)
    refused = run_task(operator(NATIONAL.replace('bare_numbers="national"', 'bare_numbers="fail"'), group))
    assert refused.state == "failed"
    assert "bare_numbers" in str(refused.error)
