"""An operator or a sensor that is told to end during a call is never green, and repeats only what does no harm."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowTaskTimeout
from told_to_end import terminated

from airflow_provider_afilnet.exceptions import AfilnetStoppedError
from airflow_provider_afilnet.operators import contacts, groups
from airflow_provider_afilnet.sandbox import Sandbox
from airflow_provider_afilnet.sensors.groups import AfilnetGroupExistsSensor, AfilnetGroupSizeSensor

pytestmark = pytest.mark.usefixtures("afilnet_conn")

Run = Callable[..., Any]

EVA = {"mobile": "34600000003", "name": "Eva"}
CREATE = {"name": "spring", "group_type": "mobile", "fields": ["mobile"]}
# Operator, arguments besides the group's id, the one call that is under way.
REPEATABLE: dict[str, tuple[Any, dict[str, Any], str]] = {
    "create, remembered": (groups.AfilnetCreateGroupOperator, {**CREATE, "remember_as": "v"}, "creategroup"),
    "columns": (groups.AfilnetGetGroupColumnsOperator, {}, "getgroupcolumns"),
    "add column": (groups.AfilnetAddGroupColumnOperator, {"field": "city"}, "addcolumntogroup"),
    "country": (groups.AfilnetAssignCountryOperator, {"country": "ES"}, "assigncountrytogroup"),
    "delete group": (groups.AfilnetDeleteGroupOperator, {}, "deletegroup"),
    "get contacts": (contacts.AfilnetGetContactsOperator, {}, "getcontacts"),
    "add": (contacts.AfilnetAddContactOperator, {"contact": EVA}, "addcontact"),
}
NOT_REPEATABLE: dict[str, tuple[Any, dict[str, Any], str]] = {
    "create": (groups.AfilnetCreateGroupOperator, CREATE, "creategroup"),
    "add list": (contacts.AfilnetAddContactListOperator, {"contacts": [EVA]}, "addcontactlist"),
}


def slow_task(sandbox: Sandbox, case: tuple[Any, dict[str, Any], str], **options: Any) -> tuple[Any, Any]:
    """The operator of a case, and the fault that makes its call take its time."""
    operator, arguments, method = case
    if method != "creategroup":
        arguments = {"group_id": sandbox.create_group("g", "mobile", ["mobile", "name"]), **arguments}
    fault = sandbox.fail("latency", seconds=0.9, methods=method)
    return operator(task_id="t", retries=3, **arguments, **options), fault


def killed(run_task: Run, sandbox: Sandbox, case: tuple[Any, dict[str, Any], str]) -> Any:
    task, fault = slow_task(sandbox, case)
    with terminated(lambda: fault.hits):
        result = run_task(task)
    assert fault.hits == 1
    assert result.value is None
    return result


@pytest.mark.parametrize("case", REPEATABLE)
def test_work_that_can_be_repeated_is_retried(run_task: Run, sandbox: Sandbox, case: str) -> None:
    result = killed(run_task, sandbox, REPEATABLE[case])
    assert result.state == "up_for_retry"
    assert isinstance(result.error, AfilnetStoppedError)


@pytest.mark.parametrize("case", NOT_REPEATABLE)
def test_work_that_would_be_doubled_is_not(run_task: Run, sandbox: Sandbox, case: str) -> None:
    result = killed(run_task, sandbox, NOT_REPEATABLE[case])
    assert result.state == "failed"
    assert isinstance(result.error, AirflowFailException)
    assert "a retry would do it twice" in str(result.error)
    if case == "create":
        assert sandbox.groups()[0]["id"] in str(result.error)


@pytest.mark.parametrize("case", {**REPEATABLE, **NOT_REPEATABLE})
def test_a_call_that_a_time_out_ends_is_retried_only_if_that_does_no_harm(
    run_task: Run, sandbox: Sandbox, case: str
) -> None:
    task, _ = slow_task(sandbox, {**REPEATABLE, **NOT_REPEATABLE}[case], execution_timeout=timedelta(seconds=0.5))
    result = run_task(task)
    if case in REPEATABLE:
        assert (result.state, type(result.error)) == ("up_for_retry", AirflowTaskTimeout)
    else:
        assert (result.state, type(result.error)) == ("failed", AirflowFailException)
        assert "may have been applied" in str(result.error)


def test_a_remembered_group_is_found_again(run_task: Run, sandbox: Sandbox) -> None:
    result = killed(run_task, sandbox, REPEATABLE["create, remembered"])
    sandbox.clear_faults()
    task = groups.AfilnetCreateGroupOperator(task_id="t", remember_as="v", **CREATE)
    again = run_task(task, variables=result.variables, try_number=2)
    assert again.value == sandbox.groups()[0]["id"]
    assert len(sandbox.groups()) == 1


@pytest.mark.parametrize("mode", ["poke", "reschedule"])
@pytest.mark.parametrize(
    ("sensor", "method"), [(AfilnetGroupExistsSensor, "getgroupcolumns"), (AfilnetGroupSizeSensor, "getcontacts")]
)
def test_a_sensor_is_not_green(run_task: Run, sandbox: Sandbox, sensor: Any, method: str, mode: str) -> None:
    group = sandbox.create_group("g", "mobile", ["mobile"])
    fault = sandbox.fail("latency", seconds=0.9, methods=method)
    more = {"min_contacts": 0} if sensor is AfilnetGroupSizeSensor else {"deferrable": False}
    with terminated(lambda: fault.hits):
        result = run_task(sensor(task_id="t", group_id=group, mode=mode, retries=3, **more))
    assert result.state == "up_for_retry"
    assert isinstance(result.error, AfilnetStoppedError)
    assert sandbox.count(method) == 1
