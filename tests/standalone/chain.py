"""The loading DAG, the refresh that its Asset starts, and what the group's Asset starts then."""

from __future__ import annotations

import json
from typing import Any

from shop import World

LOAD, REFRESH, CAMPAIGN = "load_customers", "afilnet_refresh_customers", "afilnet_customers_campaign"
BY_URI = "after_group_1000"


def wait_for_chain(world: World, number: int) -> dict[str, Any]:
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
