"""What happens after an error: the policy that Airflow 3.3 asks, and the counts that callbacks are given."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import task
from airflow_of import RETRY_POLICIES

from airflow_provider_afilnet import exceptions
from airflow_provider_afilnet.operators.contacts import AfilnetGetContactsOperator, AfilnetUpsertContactsOperator
from airflow_provider_afilnet.retries import LONGEST_WAIT, AfilnetRetryPolicy
from airflow_provider_afilnet.sandbox import Sandbox
from airflow_provider_afilnet.sensors.groups import AfilnetGroupExistsSensor

Run = Callable[..., Any]

PEOPLE = [{"mobile": f"3461122334{n}", "name": f"Zoraida {n}"} for n in range(6)]

with_policies = pytest.mark.skipif(not RETRY_POLICIES, reason="Airflow asks retry policies since 3.3")


@pytest.fixture
def group(sandbox: Sandbox, afilnet_conn: Callable[..., None]) -> str:
    return sandbox.create_group("customers", "mobile", ["mobile", "name"])


def upsert(group: str, **options: Any) -> AfilnetUpsertContactsOperator:
    return AfilnetUpsertContactsOperator(
        **{"task_id": "t", "group_id": group, "contacts": PEOPLE, "settle": 0.2, "retries": 3, **options}
    )


# --- the policy ------------------------------------------------------------------------------------------------------


@with_policies
@pytest.mark.parametrize(
    ("error", "action"),
    [
        (exceptions.AfilnetConnectionError("x"), "default"),
        (exceptions.AfilnetStoppedError("x"), "default"),
        (exceptions.AfilnetServerError("x", retryable=False), "fail"),
        (exceptions.AfilnetCredentialsError("x"), "fail"),
        (exceptions.AfilnetIncompleteError("x"), "fail"),
        (exceptions.AfilnetIncompleteError("x", retryable=True), "default"),
        (exceptions.AfilnetRateLimitedError("x"), "default"),
        (exceptions.AfilnetRateLimitedError("x", retry_after=90), "retry"),
        (ValueError("x"), "default"),
        (KeyboardInterrupt(), "default"),
    ],
    ids=repr,
)
def test_each_error_is_classified(error: BaseException, action: str) -> None:
    assert AfilnetRetryPolicy().evaluate(error, 1, 3).action.value == action


@with_policies
def test_every_error_class_follows_its_own_word() -> None:
    for name in exceptions.__all__:
        error = getattr(exceptions, name)("x")
        expected = "default" if error.retryable else "fail"
        assert AfilnetRetryPolicy().evaluate(error, 1, 3).action.value == expected, name


def waits(asked: float, *, try_number: int = 1, **task_options: Any) -> timedelta | None:
    operator = AfilnetGetContactsOperator(task_id="t", group_id="1", **task_options)
    error = exceptions.AfilnetRateLimitedError("x", retry_after=asked)
    decision = AfilnetRetryPolicy().evaluate(error, try_number, 9, {"task": operator})
    return decision.retry_delay


@with_policies
def test_it_waits_as_long_as_the_server_asks_or_the_task_says_whichever_is_longer() -> None:
    minute = timedelta(minutes=1)
    assert waits(90, retry_delay=minute) == timedelta(seconds=90)
    assert waits(30, retry_delay=minute) is None
    assert waits(60, retry_delay=minute) is None
    # The task's delay doubles with each try: 60, 120, 240 s.
    doubling = {"retry_delay": minute, "retry_exponential_backoff": 2}
    assert waits(200, **doubling) == timedelta(seconds=200)
    assert waits(200, try_number=3, **doubling) is None
    assert waits(200, try_number=10_000, **doubling) is None
    assert waits(200, try_number=3, max_retry_delay=minute, **doubling) == timedelta(seconds=200)
    assert waits(999_999_999) == LONGEST_WAIT


@with_policies
def test_a_reason_names_the_class_and_no_message() -> None:
    told = AfilnetRetryPolicy().evaluate(exceptions.AfilnetSourceError("34611223344 of Zoraida"), 1, 3).reason
    assert told == "AfilnetSourceError: a retry cannot help"


@with_policies
def test_every_operator_has_it_unless_another_is_given(group: str) -> None:
    from airflow.sdk import DAG, ExceptionRetryPolicy

    assert isinstance(upsert(group).retry_policy, AfilnetRetryPolicy)
    own = ExceptionRetryPolicy(rules=[])
    assert upsert(group, retry_policy=own).retry_policy is own
    with DAG("d", schedule=None, default_args={"retry_policy": own}):
        assert upsert(group).retry_policy is own
    with DAG("e", schedule=None):

        @task.afilnet_refresh(group_id=group)
        def rows() -> list[dict[str, str]]:
            return []

        assert isinstance(rows().operator.retry_policy, AfilnetRetryPolicy)


def test_a_task_works_with_and_without_policies(run_task: Run, group: str) -> None:
    """Where Airflow has none, the task has none either, and ends its errors itself."""
    assert hasattr(upsert(group), "retry_policy") is RETRY_POLICIES
    assert run_task(upsert(group)).state == "success"
    assert run_task(upsert(group, contacts=[])).state == "failed"


@with_policies
def test_airflow_waits_as_the_policy_says(run_task: Run, sandbox: Sandbox, group: str) -> None:
    sandbox.fail("rate_limited", retry_after=777)
    result = run_task(AfilnetGetContactsOperator(task_id="t", group_id=group, retries=3, retry_delay=timedelta(60)))
    assert (result.state, result.message.retry_delay_seconds) == ("up_for_retry", None)
    result = run_task(AfilnetGetContactsOperator(task_id="t", group_id=group, retries=3))
    assert (result.state, result.message.retry_delay_seconds) == ("up_for_retry", 777)
    assert result.message.retry_reason == "AfilnetRateLimitedError: the server asked to wait 777 s"
    assert run_task(AfilnetGetContactsOperator(task_id="t", group_id=group)).state == "failed"


@with_policies
@pytest.mark.parametrize("given", [True, False])
def test_a_sensor_may_be_given_it_and_ends_its_tries_as_it_would_without(
    run_task: Run, sandbox: Sandbox, group: str, given: bool
) -> None:
    def sensor(**options: Any) -> AfilnetGroupExistsSensor:
        options = {"task_id": "t", "group_id": group, "retries": 3, "poke_interval": 0.1, "timeout": 5, **options}
        return AfilnetGroupExistsSensor(**options, **({"retry_policy": AfilnetRetryPolicy()} if given else {}))

    assert isinstance(sensor().retry_policy, AfilnetRetryPolicy) is given
    sandbox.fail("rate_limited", retry_after=1, count=1)
    assert run_task(sensor(deferrable=False)).state == "success", "a refused call is a look that tells nothing"
    first, second = (call.at for call in sandbox.calls)
    assert second - first >= 1
    sandbox.fail("error", code="INCORRECT_USER_PASSWORD")
    assert run_task(sensor(deferrable=False)).state == "failed", "without retries"
    for status, state in (("broken", "up_for_retry"), ("failed", "failed"), ("late", "failed")):
        event = {"status": status, "group_id": group, "message": "m"}
        result = run_task(sensor(deferrable=True), next_method="execute_complete", next_kwargs={"event": event})
        assert (status, result.state) == (status, state)


@with_policies
@pytest.mark.parametrize(("policy", "state"), [(AfilnetRetryPolicy(), "failed"), (None, "up_for_retry")])
def test_a_function_that_uses_the_hook_can_have_it(
    run_task: Run, group: str, policy: AfilnetRetryPolicy | None, state: str
) -> None:
    from airflow.sdk import DAG

    with DAG("d", schedule=None):

        @task(retries=3, retry_policy=policy)
        def reads() -> None:
            from airflow_provider_afilnet.hooks.afilnet import AfilnetHook

            AfilnetHook().get_contacts("999")

        operator = reads().operator
    assert run_task(operator).state == state


# --- what callbacks are given ----------------------------------------------------------------------------------------


def told(run_task: Run, **options: Any) -> list[Any]:
    """The exceptions that the callbacks of a task are given."""
    given: list[Any] = []

    def note(context: Any) -> None:
        given.append(context["exception"])

    result = run_task(upsert(on_failure_callback=note, on_retry_callback=note, **options), finalize=True)
    assert result.state in ("failed", "up_for_retry")
    return given


def test_an_error_for_good_carries_the_counts(run_task: Run, sandbox: Sandbox, group: str) -> None:
    sandbox.fail("refuse_row", keys=[PEOPLE[-1]["mobile"]])
    (error,) = told(run_task, group=group)
    assert isinstance(error, AirflowFailException)
    counts = error.result.as_dict()
    assert (counts["added"], counts["failed"], counts["source_rows"], counts["group_id"]) == (5, 1, 6, group)
    assert not any(value in json.dumps(counts) for person in PEOPLE for value in person.values())


def test_an_error_that_may_pass_carries_them_too(run_task: Run, sandbox: Sandbox, group: str) -> None:
    sandbox.fail("drop_before", methods=["addcontact", "addcontactlist"])
    (error,) = told(run_task, group=group)
    assert error.retryable
    assert (error.result.source_rows, error.result.failed) == (6, 6)


def test_an_error_before_there_is_a_plan_has_none(run_task: Run, group: str) -> None:
    (error,) = told(run_task, group=group, contacts=[])
    assert error.result is None
    (error,) = told(run_task, group="", contacts=[])
    assert error.result is None
