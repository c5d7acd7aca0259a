"""A load starts the refresh, the refresh starts the campaign: by Assets, under a real scheduler."""

from __future__ import annotations

import json
from typing import Any

import pytest

LOAD, REFRESH, CAMPAIGN = "load_customers", "afilnet_refresh_customers", "afilnet_customers_campaign"
BY_URI = "after_group_1000"


@pytest.fixture(scope="module")
def first(world) -> dict[str, Any]:
    """The chain's first run, which the schedule of the loading DAG starts; answers the refresh's result."""
    world.stage()
    world.airflow.unpause(BY_URI, CAMPAIGN, REFRESH, LOAD)
    return chain(world, 1)


def chain(world, number: int) -> dict[str, Any]:
    """Wait for the ``number``-th run of all four DAGs, each of which must be green; answers the refresh's result."""
    runs = {dag_id: world.airflow.finished(dag_id, number) for dag_id in (LOAD, REFRESH, CAMPAIGN, BY_URI)}
    assert {dag_id: run["state"] for dag_id, run in runs.items()} == dict.fromkeys(runs, "success")
    refresh = runs[REFRESH]
    ended = world.airflow.tasks(REFRESH, refresh["dag_run_id"])["refresh"]["end_date"]
    assert runs[LOAD]["start_date"] < refresh["start_date"] < ended <= runs[CAMPAIGN]["start_date"]
    assert refresh["run_type"] == runs[CAMPAIGN]["run_type"] == runs[BY_URI]["run_type"] == "asset_triggered"
    result = as_object(world.airflow.xcom(REFRESH, refresh["dag_run_id"], "refresh"))
    told = as_object(world.airflow.xcom(CAMPAIGN, runs[CAMPAIGN]["dag_run_id"], "start_campaign"))
    assert told == {name: result[name] for name in ("group_id", "added", "updated", "deleted")}
    return result


def as_object(value: Any) -> dict[str, Any]:
    """The API gives a dict either as it is or as JSON."""
    return json.loads(value) if isinstance(value, str) else value


def assert_equal(world, group_id: str) -> None:
    held = [(c["mobile"], (c["name"], c["city"])) for c in world.sandbox.contacts(group_id)]
    assert dict(held) == world.warehouse.wanted()
    assert len(dict(held)) == len(held)


def test_the_chain_runs_by_itself_and_leaves_the_group_equal(world, first) -> None:
    assert (first["added"], first["rejected"]) == (497, 3)
    assert_equal(world, first["group_id"])


def test_the_next_load_started_over_the_rest_api_brings_the_changes(world, first) -> None:
    world.warehouse.change(new=12, changed=9, gone=6)
    world.stage()
    world.airflow.trigger(LOAD)
    result = chain(world, 2)
    assert (result["added"], result["updated"], result["deleted"]) == (12, 9, 6)
    assert_equal(world, result["group_id"])


def test_the_events_carry_counts_and_nobody(world, first) -> None:
    events = world.airflow.call("GET", "/assets/events", limit=100)["asset_events"]
    of_group = [event for event in events if event["uri"] == f"afilnet://group/{first['group_id']}"]
    assert of_group[0]["extra"]["plan_digest"]
    assert of_group[0]["extra"]["report_path"].startswith(str(world.reports))
    said = json.dumps(events, ensure_ascii=False)
    for phone, (name, _) in world.warehouse.wanted().items():
        assert phone not in said
        assert name not in said
