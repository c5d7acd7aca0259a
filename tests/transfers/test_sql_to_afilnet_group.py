"""The transfer: a query in, a group that follows it out."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.sqlite.hooks.sqlite import SqliteHook
from task_logs import PASSWORD, Logs, variables_of

from airflow_provider_afilnet.exceptions import AfilnetSourceError
from airflow_provider_afilnet.hooks import sql_rows
from airflow_provider_afilnet.sandbox import Sandbox
from airflow_provider_afilnet.transfers.sql_to_afilnet_group import SqlToAfilnetGroupOperator

pytestmark = pytest.mark.usefixtures("afilnet_conn")

Run = Callable[..., Any]
SQL = "select phone, name from customers where country = ?"


@pytest.fixture
def crm(tmp_path: Path, make_conn: Callable[..., None]) -> sqlite3.Connection:
    path = tmp_path / "crm.db"
    make_conn("crm", conn_type="sqlite", host=str(path))
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("create table customers (phone text, name text, country text)")
    rows = [("34600000001", "Ana", "es"), ("34600000002", "Ben", "es"), ("351911111111", "Rui", "pt")]
    database.executemany("insert into customers values (?, ?, ?)", rows)
    database.execute("create table optouts (phone text)")
    return database


@pytest.fixture
def group(sandbox: Sandbox) -> str:
    return sandbox.create_group("customers", "mobile", ["mobile", "name"], [{"mobile": "34600000009"}])


def transfer(group: str, **options: Any) -> SqlToAfilnetGroupOperator:
    return SqlToAfilnetGroupOperator(
        **{
            "task_id": "t",
            "sql": SQL,
            "sql_conn_id": "crm",
            "parameters": ["es"],
            "group_id": group,
            "column_map": {"phone": "mobile"},
            "settle": 0.2,
            **options,
        }
    )


def names(sandbox: Sandbox, group: str) -> set[str]:
    return {contact.get("name", contact["mobile"]) for contact in sandbox.contacts(group)}


def test_the_group_follows_the_query(run_task: Run, sandbox: Sandbox, group: str, crm: sqlite3.Connection) -> None:
    with closing(crm):
        first = run_task(transfer(group, mode="mirror"))
        assert first.state == "success", first.error
        assert names(sandbox, group) == {"Ana", "Ben"}
        assert (first.value["added"], first.value["deleted"]) == (2, 1)
        crm.execute("update customers set name = 'Anna' where name = 'Ana'")
        crm.execute("delete from customers where name = 'Ben'")
        second = run_task(transfer(group, mode="mirror"))
        assert names(sandbox, group) == {"Anna"}
        assert (second.value["updated"], second.value["deleted"]) == (1, 1)
        writes = sandbox.writes
        assert run_task(transfer(group, mode="mirror")).value["unchanged"] == 1
        assert sandbox.writes == writes


def test_every_argument_is_templated(run_task: Run, sandbox: Sandbox, group: str, crm: sqlite3.Connection) -> None:
    with closing(crm):
        task = transfer(
            "{{ params.g }}",
            sql="select phone as mobile, '{{ run_id }}' as name from customers where country = ?",
            sql_conn_id="{{ 'crm' }}",
            parameters=["{{ params.c }}"],
            column_map=None,
            params={"g": group, "c": "pt"},
        )
        assert run_task(task).state == "success"
    assert names(sandbox, group) == {"34600000009", "manual__t"}


def test_sql_files_are_read(
    sandbox: Sandbox, group: str, crm: sqlite3.Connection, tmp_path: Path, run_task: Run
) -> None:
    from airflow.sdk import DAG

    (tmp_path / "customers.sql").write_text(SQL + ";\n")
    (tmp_path / "optouts.sql").write_text("select phone from optouts")
    with closing(crm):
        crm.execute("insert into optouts values ('34600000002')")
        with DAG("with_files", schedule=None, template_searchpath=str(tmp_path)):
            task = transfer(group, sql="customers.sql", suppress_sql="optouts.sql")
        result = run_task(task)
    assert result.state == "success", result.error
    assert names(sandbox, group) == {"34600000009", "Ana"}


def test_opt_outs_come_from_the_same_connection_unless_another_is_named(
    run_task: Run, sandbox: Sandbox, group: str, crm: sqlite3.Connection
) -> None:
    with closing(crm):
        crm.execute("insert into optouts values ('34600000001')")
        result = run_task(transfer(group, suppress_sql="select phone from optouts"))
        assert result.state == "success", result.error
        assert names(sandbox, group) == {"34600000009", "Ben"}
        result = run_task(transfer(group, suppress_sql="select 1", suppress_conn_id="never_defined"))
        assert "never_defined" in str(result.error)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"sql": "select 1; select 2"}, "2 statements"),
        ({"sql": "delete from customers", "parameters": None}, "DELETE"),
        ({"sql": "vacuum", "parameters": None}, "VACUUM"),
        ({"sql": "None", "parameters": None}, "no query"),
        ({"parameters": "['es']"}, "render_template_as_native_obj"),
        ({"sql_conn_id": "afilnet_default"}, "is no database"),
        ({"suppress_conn_id": "crm"}, "'suppress_conn_id' is the connection of 'suppress_sql', which is missing"),
        ({"sql": "select phone, phone as mobile from customers", "parameters": None}, "both map"),
    ],
)
def test_a_wrong_source_writes_nothing_and_is_not_retried(
    run_task: Run, sandbox: Sandbox, group: str, crm: sqlite3.Connection, wrong: dict[str, Any], says: str
) -> None:
    with closing(crm):
        result = run_task(transfer(group, retries=3, **wrong))
        assert result.state == "failed"
        assert says in str(result.error)
        assert crm.execute("select count(*) from customers").fetchone() == (3,)
    assert sandbox.writes == 0


def test_a_database_that_fails_is_retried(run_task: Run, sandbox: Sandbox, group: str, crm: sqlite3.Connection) -> None:
    with closing(crm):
        result = run_task(transfer(group, sql="select * from nowhere", parameters=None, retries=3))
    assert result.state == "up_for_retry"
    assert sandbox.writes == 0


@pytest.mark.parametrize("step", ["get_conn", "execute", "fetchmany"])
@pytest.mark.parametrize("opt_outs", [False, True])
def test_a_database_that_fails_names_nobody(
    run_task: Run,
    sandbox: Sandbox,
    group: str,
    crm: sqlite3.Connection,
    monkeypatch: pytest.MonkeyPatch,
    logs: Logs,
    step: str,
    opt_outs: bool,
) -> None:
    """Also where it fails in the middle of a refresh, or while the opt-outs are read."""

    def fails(*args: Any) -> None:
        raise RuntimeError('invalid input: "Zoraida"\nLINE 1: zoraida@example.com 34611223344')

    def failing_cursor(connection: sqlite3.Connection) -> Any:
        real = connection.cursor()
        steps = {"execute": real.execute, "fetchmany": real.fetchmany, step: fails}
        return SimpleNamespace(description=[("phone",)], close=real.close, **steps)

    options: dict[str, Any] = {}
    hook: Any = SqliteHook
    ways = [failing_cursor]
    if opt_outs:
        options = {"suppress_sql": "select phone from optouts", "suppress_conn_id": "other"}
        hook = SimpleNamespace(get_conn=lambda: crm)
        ways.insert(0, sql_rows._CURSORS["sqlite3"])
        real = sql_rows._database_hook
        monkeypatch.setattr(sql_rows, "_database_hook", lambda name: hook if name == "other" else real(name))
    if step == "get_conn":
        monkeypatch.setattr(hook, "get_conn", fails)
    else:
        monkeypatch.setattr(sql_rows, "_CURSORS", {"sqlite3": lambda connection: ways.pop(0)(connection)})
    with closing(crm):
        result = run_task(transfer(group, retries=3, **options))
    assert result.state == "up_for_retry"
    assert isinstance(result.error, AfilnetSourceError)
    assert str(result.error).startswith("The database failed: RuntimeError: invalid input: ***")
    assert sandbox.writes == 0
    for secret in ("Zoraida", "zoraida", "34611223344"):
        assert secret not in logs.text


def test_an_empty_query_does_not_empty_the_group(
    run_task: Run, sandbox: Sandbox, group: str, crm: sqlite3.Connection
) -> None:
    with closing(crm):
        assert run_task(transfer(group, mode="mirror", parameters=["xx"])).state == "failed"
    assert names(sandbox, group) == {"34600000009"}


def test_nothing_personal_and_no_secret_is_left_behind(
    run_task: Run, group: str, crm: sqlite3.Connection, logs: Logs
) -> None:
    with closing(crm):
        crm.execute("insert into customers values ('34611223344', 'Zoraida', 'es'), ('12', 'Zoraida', 'es')")
        results = [run_task(transfer(group, **more)) for more in ({}, {"invalid_rows": "reject", "max_rejected": 1})]
    assert [result.state for result in results] == ["failed", "success"]
    left = [repr(result.error) + repr(result.value) for result in results]
    left += [text for result in results for text in variables_of(result.error)]
    left += [repr(m) for result in results for m in result.sent if type(m).__name__ != "MaskSecret"]
    everything = "\n".join(left) + logs.text
    for secret in (PASSWORD, "34611223344", "Zoraida"):
        assert secret not in everything
