"""Whole DAGs in Airflow's own loop: hand-over by XCom, mapping, a deferral, an asset, and a red end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_afilnet.sandbox import Sandbox

pytestmark = pytest.mark.usefixtures("afilnet_conn")

Dag = Callable[..., Any]

HEAD = """
from airflow.sdk import DAG, Asset, task
from airflow_provider_afilnet.operators.contacts import *
from airflow_provider_afilnet.operators.groups import *
from airflow_provider_afilnet.sensors.groups import *
"""


def test_from_creation_to_deletion(run_dag: Dag, sandbox: Sandbox) -> None:
    result = run_dag(
        "life_of_a_group",
        HEAD
        + """
with DAG("life_of_a_group", schedule=None) as dag:
    create = AfilnetCreateGroupOperator(
        task_id="create", name="spring", group_type="mobile", fields=["mobile", "name"], remember_as="spring_group"
    )
    wait = AfilnetGroupExistsSensor(task_id="wait", group_id=create.output, deferrable=True, poke_interval=0.2)
    city = AfilnetAddGroupColumnOperator(task_id="city", group_id=create.output, field="city")
    fill = AfilnetUpsertContactsOperator(
        task_id="fill",
        group_id=create.output,
        contacts=[{"mobile": f"3460000000{n}", "name": "{{ run_id }}", "city": "Soria"} for n in range(3)],
        settle=0.2,
        outlets=[Asset("afilnet://group/spring")],
    )
    size = AfilnetGroupSizeSensor(task_id="size", group_id=create.output, min_contacts=3, poke_interval=0.2)
    again = AfilnetCreateGroupOperator(
        task_id="again", name="spring", group_type="mobile", fields=["mobile", "name"], remember_as="spring_group"
    )
    create >> wait >> city >> fill >> size >> again
""",
    )
    assert result.state == "success", result.states
    (group,) = sandbox.groups()
    assert result.values["create"] == result.values["again"] == group["id"]
    assert result.values["wait"] is True
    assert result.values["fill"]["added"] == result.values["size"] == 3
    assert len(sandbox.contacts(group["id"])) == 3


def test_operators_map_over_what_another_task_returns(run_dag: Dag, sandbox: Sandbox) -> None:
    for name in ("a", "b"):
        sandbox.create_group(name, "mobile", ["mobile", name])
    ids = [group["id"] for group in sandbox.groups()]
    result = run_dag(
        "mapped",
        HEAD
        + f"""
with DAG("mapped", schedule=None) as dag:
    @task
    def groups():
        return {ids!r}

    columns = AfilnetGetGroupColumnsOperator.partial(task_id="columns", afilnet_conn_id="afilnet_default").expand(
        group_id=groups()
    )
    add = AfilnetAddContactListOperator.partial(
        task_id="add", contacts=[{{"mobile": "34600000001"}}]
    ).expand(group_id=groups())
    columns >> add
""",
    )
    assert result.state == "success", result.states
    assert sandbox.count("getgroupcolumns") == 2
    assert [len(sandbox.contacts(group_id)) for group_id in ids] == [1, 1]


def test_what_a_mapped_task_returns_is_a_list_of_contacts_and_of_opt_outs(run_dag: Dag, sandbox: Sandbox) -> None:
    group = sandbox.create_group("g", "mobile", ["mobile"])
    result = run_dag(
        "from_mapped",
        HEAD
        + f"""
with DAG("from_mapped", schedule=None) as dag:
    @task
    def person(n):
        return {{"mobile": f"3460000000{{n}}"}}

    @task
    def opted_out(n):
        return f"3460000000{{n}}"

    people = person.expand(n=[1, 2, 3])
    fill = AfilnetUpsertContactsOperator(
        task_id="fill", group_id="{group}", contacts=people, suppress=opted_out.expand(n=[2, 4]), settle=0.2
    )
    AfilnetAddContactListOperator(task_id="list", group_id="{group}", contacts=person.expand(n=[7, 8]))
""",
    )
    assert result.state == "success", result.states
    mobiles = sorted(contact["mobile"] for contact in sandbox.contacts(group))
    assert mobiles == [f"3460000000{n}" for n in (1, 3, 7, 8)]


def test_opt_outs_that_are_lost_stop_a_mapped_task_too(run_dag: Dag, sandbox: Sandbox) -> None:
    group = sandbox.create_group("g", "mobile", ["mobile"])
    result = run_dag(
        "lost_opt_outs",
        HEAD
        + f"""
with DAG("lost_opt_outs", schedule=None) as dag:
    @task
    def opted_out():
        return None

    AfilnetUpsertContactsOperator.partial(
        task_id="fill", contacts=[{{"mobile": "34600000001"}}], suppress=opted_out(), settle=0.2
    ).expand(group_id=["{group}"])
""",
    )
    assert result.state == "failed", result.states
    assert sandbox.writes == 0


def test_a_red_task_is_a_red_run(run_dag: Dag) -> None:
    result = run_dag(
        "red",
        HEAD
        + """
with DAG("red", schedule=None) as dag:
    AfilnetGetContactsOperator(task_id="read", group_id="555")
""",
    )
    assert (result.state, result.states) == ("failed", {"read": "failed"})
