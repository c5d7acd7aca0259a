"""The other example DAGs under a real scheduler, with a real triggerer for the sensor that waits there."""

from __future__ import annotations


def run(world, dag_id: str, **conf: object) -> dict[str, str | None]:
    """Trigger the DAG over the REST API and answer its tasks' states at the end."""
    world.airflow.unpause(dag_id)
    run_id = world.airflow.trigger(dag_id, **conf)
    assert world.airflow.run_over(dag_id, run_id)["state"] == "success", world.airflow.states(dag_id, run_id)
    return world.airflow.states(dag_id, run_id)


def test_one_task_for_each_method_is_green(world) -> None:
    before = {group["id"] for group in world.sandbox.groups()}
    states = run(world, "afilnet_all_operators")
    assert len(states) == 14
    assert set(states.values()) == {"success"}
    assert {group["id"] for group in world.sandbox.groups()} == before


def test_a_group_that_is_made_while_a_sensor_waits_in_the_triggerer_starts_the_rest(world) -> None:
    dag_id = "waits_for_group"
    world.airflow.unpause(dag_id)
    group_id = str(int(world.sandbox.create_group("Now", "mobile", ["mobile", "name"])) + 1)  # the next one's
    run_id = world.airflow.trigger(dag_id, group_id=group_id)
    world.airflow.wait(
        lambda: world.airflow.states(dag_id, run_id).get("group_exists") == "deferred", "the sensor to wait"
    )
    assert world.sandbox.create_group("Late", "mobile", ["mobile", "name"], [{"mobile": "34600000001"}]) == group_id
    assert world.airflow.run_over(dag_id, run_id)["state"] == "success"
    assert set(world.airflow.states(dag_id, run_id).values()) == {"success"}
