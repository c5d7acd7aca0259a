"""The sensors in Airflow's task runner: each way to wait must end like the others."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSensorTimeout
from airflow_run import TaskResult

from airflow_provider_afilnet.exceptions import AfilnetError
from airflow_provider_afilnet.sandbox import Sandbox
from airflow_provider_afilnet.sensors.groups import AfilnetGroupExistsSensor, AfilnetGroupSizeSensor

pytestmark = pytest.mark.usefixtures("afilnet_conn")

Run = Callable[..., TaskResult]


@pytest.fixture
def group(sandbox: Sandbox) -> str:
    return sandbox.create_group("g", "mobile", ["mobile"], [{"mobile": f"3460000000{n}"} for n in range(3)])


def sensor(group_id: str, **options: Any) -> AfilnetGroupExistsSensor:
    return AfilnetGroupExistsSensor(
        **{"task_id": "wait", "group_id": group_id, "poke_interval": 0.1, "timeout": 3, "deferrable": False, **options}
    )


def run_to_the_end(run_task: Run, make: Callable[[], Any]) -> TaskResult:
    """Run a sensor as Airflow would: the trigger after a deferral, the task again after a rescheduling."""
    started = datetime.now(UTC)
    result = run_task(make())
    while result.state == "up_for_reschedule":
        wait = (result.message.reschedule_date - datetime.now(UTC)).total_seconds()
        time.sleep(max(0.0, wait))
        result = run_task(make(), reschedule_start=started)
    if result.state != "deferred":
        return result
    module, _, name = result.message.classpath.rpartition(".")
    trigger = getattr(import_module(module), name)(**result.message.trigger_kwargs)

    async def fire() -> list[Any]:
        return [event.payload async for event in trigger.run()]

    (event,) = asyncio.run(fire())
    return run_task(make(), next_method=result.message.next_method, next_kwargs={"event": event})


WAYS = {
    "poke": {"mode": "poke"},
    "reschedule": {"mode": "reschedule"},
    "deferred": {"deferrable": True},
}

# Fault, state, exception.
CASES: dict[str, tuple[dict[str, Any] | None, str, type[BaseException] | None]] = {
    "there at once": (None, "success", None),
    "there later": ({"kind": "error", "code": "NOT_ACCESS_TO_GROUP", "count": 2}, "success", None),
    "there after server errors": ({"kind": "http_500", "status": 503, "count": 1}, "success", None),
    "there after a lost connection": ({"kind": "drop_before", "count": 1}, "success", None),
    "there after a garbled answer": ({"kind": "garbled", "count": 1}, "success", None),
    "there after an HTML page": ({"kind": "html", "count": 1}, "success", None),
    "there after a pause": ({"kind": "rate_limited", "retry_after": 1, "count": 1}, "success", None),
    "never there": ({"kind": "error", "code": "NOT_ACCESS_TO_GROUP"}, "failed", AirflowSensorTimeout),
    "never reachable": ({"kind": "http_500"}, "failed", AirflowSensorTimeout),
    "wrong password": ({"kind": "error", "code": "INCORRECT_USER_PASSWORD"}, "failed", AirflowFailException),
    "wrong password later": ({"kind": "error", "code": "INCORRECT_USER_PASSWORD"}, "failed", AirflowFailException),
    "unknown code": ({"kind": "error", "code": "SOMETHING_NEW"}, "failed", AirflowFailException),
    "redirected": ({"kind": "redirect", "location": "https://example.com/"}, "failed", AirflowFailException),
    "forbidden": ({"kind": "http_500", "status": 403}, "failed", AirflowFailException),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_wait_ends_alike(run_task: Run, sandbox: Sandbox, group: str, way: str, case: str) -> None:
    fault, state, error = CASES[case]
    if case == "wrong password later":
        sandbox.fail("error", code="NOT_ACCESS_TO_GROUP", first=1)
    if fault:
        sandbox.fail(**fault)
    timeout = 1.2 if error is AirflowSensorTimeout else 5
    result = run_to_the_end(run_task, lambda: sensor(group, retries=3, timeout=timeout, **WAYS[way]))
    assert (result.state, type(result.error)) == (state, error or type(None))
    if state == "success":
        assert result.value is True


@pytest.mark.parametrize("case", ["never there", "never reachable", "wrong password", "wrong password later"])
@pytest.mark.parametrize("option", ["soft_fail", "never_fail"])
@pytest.mark.parametrize("way", WAYS)
def test_soft_fail_skips_in_every_way(
    run_task: Run, sandbox: Sandbox, group: str, way: str, case: str, option: str
) -> None:
    if case == "wrong password later":
        sandbox.fail("error", code="NOT_ACCESS_TO_GROUP", first=1)
    sandbox.fail(**CASES[case][0] or {})
    result = run_to_the_end(run_task, lambda: sensor(group, timeout=1, **{option: True}, **WAYS[way]))
    assert result.state == "skipped"


def test_a_group_that_is_there_is_not_deferred(run_task: Run, sandbox: Sandbox, group: str) -> None:
    result = run_task(sensor("{{ params.g }}", params={"g": group}, deferrable=True))
    assert (result.state, result.value) == ("success", True)
    assert sandbox.count("getgroupcolumns") == 1


def test_a_permanent_error_is_not_deferred(run_task: Run, sandbox: Sandbox, group: str) -> None:
    sandbox.fail("error", code="INCORRECT_USER_PASSWORD")
    assert run_task(sensor(group, deferrable=True, retries=3)).state == "failed"


def test_deferral_outlasts_the_triggers_own_deadline(run_task: Run) -> None:
    before = time.time()
    result = run_task(sensor("555", deferrable=True, timeout=100, poke_interval=7))
    assert result.state == "deferred"
    arguments = result.message.trigger_kwargs
    assert before + 100 <= arguments["deadline"] <= time.time() + 100
    assert before + 7 <= arguments["next_look"] <= time.time() + 7
    assert timedelta(seconds=100) < result.message.trigger_timeout < timedelta(seconds=200)


@pytest.mark.parametrize(
    "event",
    [
        None,
        "exists",
        {},
        {"status": "exists"},
        {"status": "exists", "group_id": "556"},
        {"status": "fine", "group_id": "555"},
        {"status": "success", "group_id": "555"},
        {"group_id": "555", "message": "exists"},
    ],
)
def test_an_event_of_another_form_fails(run_task: Run, event: Any) -> None:
    result = run_task(
        sensor("555", deferrable=True, retries=1), next_method="execute_complete", next_kwargs={"event": event}
    )
    assert result.state == "failed"
    assert isinstance(result.error, AirflowFailException)


def test_a_broken_trigger_is_retried(run_task: Run) -> None:
    event = {"status": "broken", "group_id": "555", "message": "The trigger broke."}
    result = run_task(
        sensor("555", deferrable=True, retries=1), next_method="execute_complete", next_kwargs={"event": event}
    )
    assert result.state == "up_for_retry"
    assert type(result.error) is AfilnetError


def test_airflows_own_deferral_timeout_is_a_sensor_timeout(run_task: Run) -> None:
    result = run_task(
        sensor("555", deferrable=True, retries=1),
        next_method="__fail__",
        next_kwargs={"error": "Trigger timeout"},
    )
    assert result.state == "failed"
    assert isinstance(result.error, AirflowSensorTimeout)


@pytest.mark.parametrize("option", ["soft_fail", "never_fail"])
def test_airflows_own_deferral_timeout_is_skipped_too(run_task: Run, option: str) -> None:
    result = run_task(
        sensor("555", deferrable=True, **{option: True}),
        next_method="__fail__",
        next_kwargs={"error": "Trigger timeout"},
    )
    assert result.state == "skipped"


@pytest.mark.parametrize("mode", ["poke", "reschedule"])
def test_poking_without_interval_is_no_hot_loop(run_task: Run, sandbox: Sandbox, mode: str) -> None:
    result = run_to_the_end(run_task, lambda: sensor("555", mode=mode, poke_interval=0, timeout=0.55))
    assert result.state == "failed"
    assert 2 <= sandbox.count("getgroupcolumns") <= 8


def test_rescheduling_counts_from_the_first_look(run_task: Run) -> None:
    first = datetime.now(UTC) - timedelta(seconds=90)
    result = run_task(sensor("555", mode="reschedule", timeout=100, poke_interval=60), reschedule_start=first)
    assert result.state == "up_for_reschedule"
    # Ten seconds are left of the hundred, so the last look is in ten and not in sixty.
    left = (result.message.reschedule_date - datetime.now(UTC)).total_seconds()
    assert 5 < left <= 10
    result = run_task(sensor("555", mode="reschedule", timeout=80, poke_interval=60), reschedule_start=first)
    assert isinstance(result.error, AirflowSensorTimeout)


def test_rescheduling_obeys_retry_after(run_task: Run, sandbox: Sandbox) -> None:
    sandbox.fail("rate_limited", retry_after=40)
    result = run_task(sensor("555", mode="reschedule", timeout=100, poke_interval=1))
    left = (result.message.reschedule_date - datetime.now(UTC)).total_seconds()
    assert 35 < left <= 40


def test_a_connection_nobody_defined_is_retried_in_every_way(run_task: Run) -> None:
    for way in WAYS.values():
        result = run_task(sensor("555", afilnet_conn_id="nope", retries=1, **way))
        assert result.state == "up_for_retry"
        assert "nope" in str(result.error)


# --- size ------------------------------------------------------------------------------------------------------------


def size(group_id: str, min_contacts: Any, **options: Any) -> AfilnetGroupSizeSensor:
    return AfilnetGroupSizeSensor(
        **{
            "task_id": "wait",
            "group_id": group_id,
            "min_contacts": min_contacts,
            "poke_interval": 0.1,
            "timeout": 2,
            **options,
        }
    )


@pytest.mark.parametrize("mode", ["poke", "reschedule"])
def test_size_is_returned(run_task: Run, group: str, mode: str) -> None:
    result = run_task(size(group, "{{ params.n }}", params={"n": 3}, mode=mode))
    assert (result.state, result.value) == ("success", 3)


def test_size_waits_for_contacts(run_task: Run, sandbox: Sandbox, group: str) -> None:
    adder = threading.Timer(0.4, lambda: sandbox.add_contacts(group, [{"mobile": "34611111111"}]))
    adder.start()
    assert run_task(size(group, 4)).value == 4
    adder.join()


@pytest.mark.parametrize("kind", ["null_read", "absent_read"])
def test_a_null_read_is_not_yet_and_never_empty(run_task: Run, sandbox: Sandbox, group: str, kind: str) -> None:
    fault = sandbox.fail(kind)
    assert isinstance(run_task(size(group, 0, timeout=0.3)).error, AirflowSensorTimeout)
    fault.remove()
    sandbox.fail(kind, count=1)
    assert run_task(size(group, 0)).value == 3


def test_size_survives_passing_errors_and_ends_on_permanent_ones(run_task: Run, sandbox: Sandbox, group: str) -> None:
    sandbox.fail("garbled", methods="getcontacts", count=1)
    assert run_task(size(group, 3)).value == 3
    result = run_task(size("555", 3, retries=2))
    assert result.state == "failed"
    assert isinstance(result.error, AirflowFailException)


@pytest.mark.parametrize("wrong", ["many", "", None, -1, 1.5, True])
def test_size_needs_a_whole_number(run_task: Run, sandbox: Sandbox, group: str, wrong: Any) -> None:
    result = run_task(size(group, wrong, retries=1))
    assert result.state == "failed"
    assert "min_contacts" in str(result.error)
    assert sandbox.calls == []


def test_size_looks_every_ten_minutes_by_default() -> None:
    assert AfilnetGroupSizeSensor(task_id="t", group_id="1", min_contacts=1).poke_interval == 600
