"""Each example DAG runs to its end against the sandbox, as Airflow runs it."""

from __future__ import annotations

import json
import runpy
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow_run import DagResult, run_dag_file

EXAMPLES = Path(__file__).resolve().parents[2] / "example_dags"

Run = Callable[..., DagResult]


@pytest.fixture
def run_example(airflow_home: Path) -> Run:
    """``run_example("example_afilnet_sensors", "afilnet_sensors")`` runs one DAG of an example file."""

    def run(file: str, dag_id: str, **options: Any) -> DagResult:
        return run_dag_file(airflow_home / "dags", dag_id, (EXAMPLES / f"{file}.py").read_text(), **options)

    return run


@pytest.fixture
def warehouse(tmp_path: Path, make_conn: Callable[..., None]) -> Iterator[sqlite3.Connection]:
    path = tmp_path / "warehouse.sqlite"
    make_conn("warehouse", conn_type="sqlite", host=str(path))
    database = sqlite3.connect(path, isolation_level=None)
    yield database
    database.close()


@pytest.fixture
def no_variables(airflow_home: Path) -> Iterator[None]:
    """What the examples remember is forgotten again."""
    yield
    from airflow.models import Variable
    from airflow.utils.session import create_session

    with create_session() as session:
        session.query(Variable).delete()


def example_dag(file: str, name: str) -> Any:
    """A DAG of an example file, under the name that it has there."""
    return runpy.run_path(str(EXAMPLES / f"{file}.py"))[name]


def asset_events(uri: str) -> list[dict[str, Any]]:
    """The extras of an asset's events, oldest first."""
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.utils.session import create_session

    with create_session() as session:
        found = session.query(AssetEvent).join(AssetModel, AssetModel.id == AssetEvent.asset_id)
        return [dict(event.extra) for event in found.filter(AssetModel.uri == uri).order_by(AssetEvent.id)]


@pytest.mark.usefixtures("afilnet_conn", "no_variables")
def test_load_then_refresh_then_refresh_again(run_example, sandbox, warehouse, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_AFILNET_REPORTS", str(tmp_path / "reports"))
    warehouse.execute("CREATE TABLE staging_customers (phone TEXT, full_name TEXT, city TEXT)")
    people = [(f"6{i:08d}", f"Ana, {i}", "Vigo") for i in range(150)]
    warehouse.executemany("INSERT INTO staging_customers VALUES (?, ?, ?)", [*people, ("n/a", "Nobody", "")])

    assert run_example("example_afilnet_refresh", "load_customers").state == "success"
    first = run_example("example_afilnet_refresh", "afilnet_refresh_customers")
    assert first.states == dict.fromkeys(("create_group", "assign_country", "refresh", "read_back"), "success")
    group_id = first.values["create_group"]
    assert sandbox.country(group_id) == "esp"
    assert {c["mobile"]: c["name"] for c in sandbox.contacts(group_id)} == {f"34{p}": n for p, n, _ in people}
    result = first.values["refresh"]
    assert (result["added"], result["rejected"], result["source_rows"]) == (150, 1, 151)
    assert first.values["read_back"]["count"] == 150

    warehouse.execute("DELETE FROM customers WHERE phone IN ('600000000', '600000001')")
    warehouse.execute("UPDATE customers SET city = 'Lugo' WHERE phone = '600000005'")
    sandbox.clear_calls()
    second = run_example("example_afilnet_refresh", "afilnet_refresh_customers")
    assert second.state == "success"
    assert second.values["create_group"] == group_id
    assert sandbox.count("creategroup") == 0
    result = second.values["refresh"]
    assert (result["added"], result["updated"], result["deleted"], result["unchanged"]) == (0, 1, 2, 147)
    assert len(sandbox.contacts(group_id)) == 148

    sandbox.clear_calls()
    third = run_example("example_afilnet_refresh", "afilnet_refresh_customers")
    assert third.values["refresh"]["unchanged"] == 148
    # The country is assigned in every run; the refresh itself writes nothing.
    assert sandbox.writes == sandbox.count("assigncountrytogroup") == 1

    events = asset_events(f"afilnet://group/{group_id}")[-3:]
    assert [event["added"] for event in events] == [150, 0, 0]
    assert [event["deleted"] for event in events] == [0, 2, 0]
    assert all("mobile" not in json.dumps(event) for event in events)
    assert asset_events("warehouse://shop/customers")


@pytest.mark.usefixtures("afilnet_conn")
def test_every_operator(run_example, sandbox) -> None:
    run = run_example("example_afilnet_all_operators", "afilnet_all_operators")
    assert set(run.states.values()) == {"success"}
    assert run.values["get_columns"] == ["mobile", "name", "city"]
    assert run.values["get_contact"]["mobile"] == "34600000003"
    assert {contact["mobile"] for contact in run.values["get_contacts"]} == {f"3460000000{n}" for n in range(1, 5)}
    assert sandbox.groups() == []


@pytest.mark.usefixtures("afilnet_conn")
def test_sensors(run_example, sandbox) -> None:
    people = [{"mobile": f"346{i:08d}"} for i in range(1000)]
    group_id = sandbox.create_group("g", "mobile", ["mobile"], contacts=people)
    run = run_example("example_afilnet_sensors", "afilnet_sensors", conf={"group_id": group_id})
    assert run.states == dict.fromkeys(("group_exists", "group_is_full", "start_campaign"), "success")
    assert run.values["group_is_full"] == 1000


NEWSLETTER = "example_afilnet_taskflow"


@pytest.mark.usefixtures("afilnet_conn")
def test_a_function_feeds_a_group_and_its_event_says_how(run_example, sandbox, monkeypatch) -> None:
    group_id = sandbox.create_group("g", "email", ["email", "name"], contacts=[{"email": "left@example.com"}])
    monkeypatch.setenv("AIRFLOW_VAR_AFILNET_NEWSLETTER_GROUP", group_id)
    run = run_example(NEWSLETTER, "afilnet_newsletter")
    assert run.state == "success", run.states
    assert [c["email"] for c in sandbox.contacts(group_id)] == [f"reader{n}@example.com" for n in range(3)]
    event = asset_events(f"afilnet://group/{group_id}")[-1]
    assert event == run.values["readers"]
    assert (event["added"], event["deleted"]) == (3, 1)
    assert run_example(NEWSLETTER, "afilnet_newsletter_ready").state == "success"


def test_the_run_that_it_starts_is_given_the_counts(airflow_home, run_task) -> None:
    names = {"name": "afilnet://group/7", "uri": "afilnet://group/7", "extra": {}}
    counts = {"group_id": "7", "added": 3, "updated": 0, "deleted": 1, "rounds": 1}
    moment = "2026-01-01T00:00:00Z"
    event = {
        "asset": names,
        "extra": counts,
        "timestamp": moment,
        "source_aliases": [{"name": "afilnet_newsletter"}],
        "source_dag_id": "afilnet_newsletter",
        "source_task_id": "readers",
        "source_run_id": "r",
        "source_map_index": -1,
    }
    result = run_task(example_dag(NEWSLETTER, "ready_dag").get_task("announce"), consumed_asset_events=[event])
    assert result.state == "success", result.error
    assert result.value == [{"group_id": "7", "added": 3, "updated": 0, "deleted": 1}]


@pytest.mark.usefixtures("afilnet_conn")
def test_a_red_refresh_is_reported_with_its_counts(run_task, sandbox, monkeypatch, logs) -> None:
    group_id = sandbox.create_group("g", "email", ["email", "name"])
    readers = example_dag(NEWSLETTER, "newsletter_dag").get_task("readers")
    rows = {("pages", "return_value"): 5}
    sandbox.fail("refuse_row", keys=["reader4@example.com"])
    result = run_task(
        readers, xcoms=rows, variables={"afilnet_newsletter_group": group_id}, finalize=True, try_number=9
    )
    assert result.state == "failed"
    assert f"Group {group_id}: 1 of 5 rows failed." in logs.text
    sandbox.fail("error", code="INCORRECT_USER_PASSWORD")
    run_task(readers, xcoms=rows, variables={"afilnet_newsletter_group": group_id}, finalize=True)
    assert "The refresh ended before there was anything to count." in logs.text


@pytest.mark.usefixtures("afilnet_conn", "no_variables")
def test_one_query_feeds_many_groups(run_example, sandbox, warehouse) -> None:
    warehouse.execute("CREATE TABLE customers (email TEXT, name TEXT, segment TEXT)")
    sizes = {"gold": 3, "silver": 5, "new": 8}
    rows = [(f"{s}{i}@example.com", f"{s} {i}", s) for s, n in sizes.items() for i in range(n)]
    warehouse.executemany("INSERT INTO customers VALUES (?, ?, ?)", rows)
    run = run_example("example_afilnet_many_groups", "afilnet_many_groups")
    assert run.state == "success"
    held = {group["name"]: {c["email"] for c in sandbox.contacts(group["id"])} for group in sandbox.groups()}
    assert {sandbox.country(group["id"]) for group in sandbox.groups()} == {"esp"}
    assert held == {f"Segment {s}": {f"{s}{i}@example.com" for i in range(n)} for s, n in sizes.items()}
