"""A PostgreSQL warehouse works as the SQLite one does, and is read through a server-side cursor."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from airflow_provider_afilnet.transfers.sql_to_afilnet_group import SqlToAfilnetGroupOperator


def refresh(**options: Any) -> SqlToAfilnetGroupOperator:
    return SqlToAfilnetGroupOperator(
        **{
            "task_id": "refresh",
            "sql_conn_id": "warehouse",
            "sql": "SELECT * FROM customers",
            "mode": "mirror",
            "settle": 0.5,
            **options,
        }
    )


@pytest.mark.usefixtures("afilnet_conn")
def test_values_of_many_types_arrive_in_their_canonical_form(run_task, sandbox, postgres) -> None:
    postgres.execute(
        "CREATE TABLE customers (mobile TEXT, name TEXT, born DATE, seen TIMESTAMPTZ, spent NUMERIC, active BOOL)"
    )
    when = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    postgres.execute(
        "INSERT INTO customers VALUES ('+34 600 000 000', 'Ñora, A', '1990-02-03', %s, 12.50, true), "
        "('0034600000001', NULL, NULL, NULL, NULL, false)",
        (when,),
    )
    columns = ["mobile", "name", "born", "seen", "spent", "active"]
    group_id = sandbox.create_group("g", "mobile", columns)
    result = run_task(refresh(group_id=group_id))
    assert result.state == "success", result.error
    held = {contact.pop("mobile"): contact for contact in sandbox.contacts(group_id) if contact.pop("idcontact")}
    assert held == {
        "34600000000": {
            "name": "Ñora, A",
            "born": "1990-02-03",
            "seen": "2026-01-02T01:04:05Z",
            "spent": "12.50",
            "active": "true",
        },
        "34600000001": {"active": "false"},
    }


@pytest.mark.usefixtures("afilnet_conn")
def test_first_load_churn_and_no_change(run_task, sandbox, postgres) -> None:
    postgres.execute("CREATE TABLE customers (mobile TEXT, name TEXT)")
    postgres.execute(
        "INSERT INTO customers SELECT '346' || lpad(i::text, 8, '0'), 'Ana ' || i FROM generate_series(0, 11999) i"
    )
    group_id = sandbox.create_group("g", "mobile", ["mobile", "name"])

    first = run_task(
        refresh(group_id=group_id, parameters={"most": 12000}, sql="SELECT mobile, name FROM customers LIMIT %(most)s")
    )
    assert first.value["added"] == 12000

    postgres.execute("DELETE FROM customers WHERE mobile < '34600000020'")
    postgres.execute("UPDATE customers SET name = 'Eva' WHERE mobile >= '34600011990'")
    postgres.execute("INSERT INTO customers VALUES ('34699999999', 'New')")
    second = run_task(refresh(group_id=group_id))
    assert second.state == "success", second.error
    assert {k: second.value[k] for k in ("added", "updated", "deleted", "unchanged")} == {
        "added": 1,
        "updated": 10,
        "deleted": 20,
        "unchanged": 11970,
    }
    rows = postgres.execute("SELECT mobile, name FROM customers").fetchall()
    assert sorted((c["mobile"], c["name"]) for c in sandbox.contacts(group_id)) == sorted(rows)

    sandbox.clear_calls()
    third = run_task(refresh(group_id=group_id))
    assert third.value["unchanged"] == 11981
    assert sandbox.writes == 0


@pytest.mark.usefixtures("afilnet_conn")
def test_a_broken_query_writes_nothing(run_task, sandbox, postgres) -> None:
    postgres.execute("CREATE TABLE customers (mobile TEXT, name TEXT)")
    group_id = sandbox.create_group("g", "mobile", ["mobile", "name"])
    # The fault comes with the last row, when all others have been read.
    postgres.execute(
        "INSERT INTO customers SELECT '346' || lpad(i::text, 8, '0'), i::text FROM generate_series(0, 20000) i"
    )
    result = run_task(
        refresh(group_id=group_id, sql="SELECT mobile, (1 / (20000 - name::int))::text AS name FROM customers")
    )
    assert result.state == "failed"
    assert sandbox.writes == 0
    assert sandbox.contacts(group_id) == []


def test_the_database_of_the_test_is_a_real_one(postgres: Any) -> None:
    assert "PostgreSQL" in postgres.execute("SELECT version()").fetchone()[0]
