"""The group operators in Airflow's own task runner, against the sandbox."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException

from airflow_provider_afilnet import exceptions
from airflow_provider_afilnet.operators.groups import (
    AfilnetAddGroupColumnOperator,
    AfilnetAssignCountryOperator,
    AfilnetCreateGroupOperator,
    AfilnetDeleteGroupColumnOperator,
    AfilnetDeleteGroupOperator,
    AfilnetGetGroupColumnsOperator,
)
from airflow_provider_afilnet.sandbox import Dialect, Sandbox
from airflow_provider_afilnet.sandbox.dialect import dialects_of

pytestmark = pytest.mark.usefixtures("afilnet_conn")

Run = Callable[..., Any]


def create(**options: Any) -> AfilnetCreateGroupOperator:
    return AfilnetCreateGroupOperator(
        **{"task_id": "t", "name": "spring", "group_type": "mobile", "fields": ["mobile", "name"], **options}
    )


@pytest.fixture
def group(sandbox: Sandbox) -> str:
    return sandbox.create_group("customers", "mobile", ["mobile", "name"], [{"mobile": "34600000001"}])


def test_create_returns_the_id_and_renders_every_argument(run_task: Run, sandbox: Sandbox) -> None:
    task = create(
        name="{{ run_id }}",
        group_type="{{ params.type }}",
        fields="{{ params.type }},name",
        require_id="{{ params.strict }}",
        afilnet_conn_id="{{ 'afilnet' }}_default",
        params={"type": "email", "strict": True},
    )
    result = run_task(task)
    assert result.state == "success", result.error
    (made,) = sandbox.groups()
    assert result.value == made["id"]
    assert (made["name"], made["type"], made["fields"]) == ("manual__t", "email", ["email", "name"])


def test_create_without_an_answered_id(run_task: Run, sandbox: Sandbox) -> None:
    sandbox.dialect = Dialect(new_id="none")
    result = run_task(create(retries=3))
    assert result.state == "failed"
    assert "did not answer its id" in str(result.error)
    result = run_task(create(require_id=False))
    assert (result.state, result.value) == ("success", None)


def test_create_is_not_tried_where_the_id_is_known_to_stay_unknown(
    run_task: Run, sandbox: Sandbox, afilnet_conn: Callable[..., None]
) -> None:
    afilnet_conn(extra={"api_facts": {"creategroup_returns_id": False}})
    result = run_task(create())
    assert result.state == "failed"
    assert "answers no id" in str(result.error)
    assert sandbox.calls == []


@pytest.mark.parametrize("kind", ["drop_after", "garbled", "html", "http_500"])
def test_an_unclear_creation_is_never_repeated(run_task: Run, sandbox: Sandbox, kind: str) -> None:
    sandbox.fail(kind, methods="creategroup")
    result = run_task(create(retries=5))
    assert result.state == "failed"
    assert isinstance(result.error, AirflowFailException)
    assert isinstance(result.error.__cause__, exceptions.AfilnetOutcomeUnknownError)
    assert "panel" in str(result.error)
    assert sandbox.count("creategroup") == 1


def test_a_creation_that_was_certainly_refused_may_be_retried(run_task: Run, sandbox: Sandbox) -> None:
    sandbox.fail("rate_limited", methods="creategroup", retry_after=3)
    result = run_task(create(retries=1))
    assert result.state == "up_for_retry"
    assert isinstance(result.error, exceptions.AfilnetRateLimitedError)


def test_wrong_arguments_end_without_retries(run_task: Run, sandbox: Sandbox) -> None:
    for wrong in ({"group_type": "fax"}, {"fields": ["name"]}, {"require_id": "perhaps"}, {"remember_as": " "}):
        result = run_task(create(retries=2, **wrong))
        assert result.state == "failed", wrong
    assert sandbox.calls == []


@pytest.mark.parametrize("left", ["None", "none", "null", " "])
def test_what_a_template_leaves_is_no_value(run_task: Run, sandbox: Sandbox, left: str) -> None:
    tasks = {
        "remember_as": create(remember_as="{{ params.x }}", params={"x": left}),
        "name": create(name="{{ params.x }}", params={"x": left}),
        "fields": create(fields="{{ params.x }}", params={"x": left}),
        "field": AfilnetAddGroupColumnOperator(task_id="t", group_id="1", field="{{ params.x }}", params={"x": left}),
        "country": AfilnetAssignCountryOperator(task_id="t", group_id="1", country=left),
    }
    for argument, task in tasks.items():
        result = run_task(task)
        assert result.state == "failed"
        assert str(result.error).startswith(f"{argument} "), result.error
        assert result.variables == {}
    assert sandbox.calls == []


def test_a_variable_name_that_is_lost_creates_nothing(run_task: Run, sandbox: Sandbox) -> None:
    with DAG("lost", schedule=None):
        upstream = AfilnetGetGroupColumnsOperator(task_id="up", group_id="1")
        task = create(remember_as=upstream.output, retries=3)
    result = run_task(task, xcoms={("up", "return_value"): None})
    assert result.state == "failed"
    assert "remember_as was given, but has no value" in str(result.error)
    assert sandbox.calls == []


def test_a_column_that_is_no_text_is_named(run_task: Run, sandbox: Sandbox) -> None:
    task = AfilnetAddGroupColumnOperator(task_id="t", group_id="1", field=5)  # type: ignore[arg-type]
    assert str(run_task(task).error) == "field must be text, not int."
    assert sandbox.calls == []


# --- remember_as -----------------------------------------------------------------------------------------------------


def test_remember_creates_once_and_then_recalls(run_task: Run, sandbox: Sandbox) -> None:
    variables: dict[str, str] = {}
    first = run_task(create(remember_as="spring_group"), variables=variables)
    assert first.state == "success", first.error
    assert variables == {"spring_group": first.value}
    second = run_task(create(remember_as="{{ 'spring' }}_group"), variables=variables, run_id="another")
    assert (second.state, second.value) == ("success", first.value)
    assert sandbox.count("creategroup") == 1


def test_remember_marks_before_the_call(run_task: Run, sandbox: Sandbox) -> None:
    result = run_task(create(remember_as="v"), run_id="run_7")
    written = [message.value for message in result.sent if type(message).__name__ == "PutVariable"]
    assert written == ["pending:run_7", result.value]


def test_a_pending_mark_stops_every_try(run_task: Run, sandbox: Sandbox) -> None:
    variables = {"v": "pending:run_7"}
    for run_id in ("run_7", "run_8"):
        result = run_task(create(remember_as="v", retries=2), variables=variables, run_id=run_id)
        assert result.state == "failed"
        assert "'pending:run_7'" in str(result.error)
        assert "delete the Variable" in str(result.error)
    assert variables == {"v": "pending:run_7"}
    assert sandbox.calls == []


def test_a_remembered_group_that_is_gone_stops(run_task: Run, sandbox: Sandbox) -> None:
    result = run_task(create(remember_as="v", retries=2), variables={"v": "555"})
    assert result.state == "failed"
    assert "group 555" in str(result.error)
    assert sandbox.count("creategroup") == 0


def test_a_remembered_group_that_cannot_be_asked_about_is_retried(run_task: Run, sandbox: Sandbox, group: str) -> None:
    sandbox.fail("http_500", methods="getgroupcolumns")
    result = run_task(create(remember_as="v", retries=2), variables={"v": group})
    assert result.state == "up_for_retry"
    assert sandbox.count("creategroup") == 0


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        ({"kind": "rate_limited"}, "up_for_retry"),
        ({"kind": "error", "code": "INCORRECT_TYPE"}, "failed"),
        ({"kind": "redirect", "location": "https://example.com/"}, "failed"),
    ],
)
def test_a_certain_refusal_takes_the_mark_away(
    run_task: Run, sandbox: Sandbox, fault: dict[str, Any], state: str
) -> None:
    variables: dict[str, str] = {}
    sandbox.fail(methods="creategroup", **fault)
    result = run_task(create(remember_as="v", retries=1), variables=variables)
    assert result.state == state
    assert variables == {}
    sandbox.clear_faults()
    assert run_task(create(remember_as="v"), variables=variables).state == "success"
    assert len(sandbox.groups()) == 1


def test_a_connection_that_cannot_be_made_takes_the_mark_away(run_task: Run, afilnet_conn: Callable[..., None]) -> None:
    afilnet_conn(host="http://127.0.0.1:9")
    variables: dict[str, str] = {}
    result = run_task(create(remember_as="v", retries=1), variables=variables)
    assert (result.state, variables) == ("up_for_retry", {})


@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "garbled"])
def test_an_unclear_creation_keeps_the_mark(run_task: Run, sandbox: Sandbox, kind: str) -> None:
    variables: dict[str, str] = {}
    sandbox.fail(kind, methods="creategroup")
    result = run_task(create(remember_as="v", retries=3), variables=variables, run_id="run_7")
    assert result.state == "failed"
    assert "set Variable 'v' to its id" in str(result.error)
    assert variables == {"v": "pending:run_7"}
    sandbox.clear_faults()
    assert run_task(create(remember_as="v", retries=3), variables=variables).state == "failed"
    assert sandbox.count("creategroup") == 1


def test_an_unanswered_id_keeps_the_mark(run_task: Run, sandbox: Sandbox) -> None:
    variables: dict[str, str] = {}
    sandbox.dialect = Dialect(new_id="absent")
    result = run_task(create(remember_as="v", retries=3), variables=variables, run_id="run_7")
    assert result.state == "failed"
    assert "set Variable 'v' to its id" in str(result.error)
    assert variables == {"v": "pending:run_7"}


def test_a_kill_during_the_call_keeps_the_mark(
    run_task: Run, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = create(remember_as="v")

    def killed(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(task.hook, "create_group", killed)
    variables: dict[str, str] = {}
    result = run_task(task, variables=variables, run_id="run_7")
    assert result.state == "failed"
    assert variables == {"v": "pending:run_7"}


def test_an_id_that_cannot_be_written_down_is_said(
    run_task: Run, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.sdk import Variable

    real = Variable.set

    def fails_for_ids(key: str, value: str, **kwargs: Any) -> None:
        if not value.startswith("pending:"):
            raise ConnectionError
        real(key, value, **kwargs)

    monkeypatch.setattr(Variable, "set", fails_for_ids)
    result = run_task(create(remember_as="v", retries=2))
    (made,) = sandbox.groups()
    assert result.state == "failed"
    assert f"set it to {made['id']}" in str(result.error)


def test_remember_needs_an_id(run_task: Run, sandbox: Sandbox) -> None:
    result = run_task(create(remember_as="v", require_id=False))
    assert result.state == "failed"
    assert "require_id=True" in str(result.error)
    assert sandbox.calls == []


# --- the other operators ---------------------------------------------------------------------------------------------


def test_columns_go_to_xcom(run_task: Run, group: str) -> None:
    result = run_task(AfilnetGetGroupColumnsOperator(task_id="t", group_id="{{ params.g }}", params={"g": group}))
    assert result.value == ["mobile", "name"]


def test_add_column_looks_first(run_task: Run, sandbox: Sandbox, group: str) -> None:
    assert run_task(AfilnetAddGroupColumnOperator(task_id="t", group_id=group, field="city")).state == "success"
    assert sandbox.columns(group) == ["mobile", "name", "city"]
    for again in ("city", " CITY "):
        assert run_task(AfilnetAddGroupColumnOperator(task_id="t", group_id=group, field=again)).state == "success"
    assert sandbox.count("addcolumntogroup") == 1


@pytest.mark.parametrize("repeat", dialects_of("column_repeat"))
def test_add_column_is_retried_after_a_lost_answer_and_sent_once(
    run_task: Run, sandbox: Sandbox, group: str, repeat: Any
) -> None:
    sandbox.dialect = Dialect(column_repeat=repeat)
    sandbox.fail("drop_after", methods="addcolumntogroup", count=1)
    task = AfilnetAddGroupColumnOperator(task_id="t", group_id=group, field="city", retries=1)
    assert run_task(task).state == "up_for_retry"
    task = AfilnetAddGroupColumnOperator(task_id="t", group_id=group, field="city", retries=1)
    assert run_task(task, try_number=2).state == "success"
    assert sandbox.count("addcolumntogroup") == 1
    assert sandbox.columns(group) == ["mobile", "name", "city"]


def test_delete_column_can_be_repeated(run_task: Run, sandbox: Sandbox, group: str) -> None:
    for _ in range(2):
        task = AfilnetDeleteGroupColumnOperator(task_id="t", group_id=group, field="name")
        assert run_task(task).state == "success"
    assert sandbox.columns(group) == ["mobile"]


def test_delete_group_and_a_missing_one(run_task: Run, sandbox: Sandbox, group: str) -> None:
    assert run_task(AfilnetDeleteGroupOperator(task_id="t", group_id=int(group))).state == "success"
    assert sandbox.groups() == []
    result = run_task(AfilnetDeleteGroupOperator(task_id="t", group_id=group, retries=1))
    assert result.state == "failed"
    assert isinstance(result.error.__cause__, exceptions.AfilnetAccessError)
    task = AfilnetDeleteGroupOperator(task_id="t", group_id=group, ignore_missing="{{ params.i }}", params={"i": True})
    assert run_task(task).state == "success"
    # Text is read, not taken for true.
    task = AfilnetDeleteGroupOperator(task_id="t", group_id=group, ignore_missing="False")
    assert run_task(task).state == "failed"


def test_ignore_missing_ignores_nothing_else(run_task: Run, sandbox: Sandbox, group: str) -> None:
    sandbox.fail("http_500", status=403)
    result = run_task(AfilnetDeleteGroupOperator(task_id="t", group_id=group, ignore_missing=True))
    assert result.state == "failed"


def test_country(run_task: Run, sandbox: Sandbox, group: str) -> None:
    assert run_task(AfilnetAssignCountryOperator(task_id="t", group_id=group, country="Spain")).state == "success"
    assert sandbox.country(group) == "esp"
    result = run_task(AfilnetAssignCountryOperator(task_id="t", group_id=group, country="Hispania", retries=1))
    assert result.state == "failed"
    assert "Hispania" in str(result.error)


@pytest.mark.parametrize(
    ("fault", "state", "error"),
    [
        ({"kind": "http_500", "status": 503}, "up_for_retry", exceptions.AfilnetServerError),
        ({"kind": "rate_limited"}, "up_for_retry", exceptions.AfilnetRateLimitedError),
        ({"kind": "drop_before"}, "up_for_retry", exceptions.AfilnetConnectionError),
        ({"kind": "html"}, "up_for_retry", exceptions.AfilnetUnreadableAnswerError),
        ({"kind": "error", "code": "NOT_ACCESS_TO_GROUP"}, "failed", AirflowFailException),
        ({"kind": "error", "code": "INCORRECT_USER_PASSWORD"}, "failed", AirflowFailException),
        ({"kind": "error", "code": "SOMETHING_NEW"}, "failed", AirflowFailException),
        ({"kind": "redirect", "location": "https://example.com/"}, "failed", AirflowFailException),
    ],
)
def test_each_error_ends_the_task_as_it_deserves(
    run_task: Run, sandbox: Sandbox, group: str, fault: dict[str, Any], state: str, error: type[Exception]
) -> None:
    sandbox.fail(**fault)
    result = run_task(AfilnetGetGroupColumnsOperator(task_id="t", group_id=group, retries=1))
    assert result.state == state
    assert type(result.error) is error


def test_a_connection_nobody_defined_is_named(run_task: Run) -> None:
    result = run_task(AfilnetGetGroupColumnsOperator(task_id="t", group_id="1", afilnet_conn_id="nope"))
    assert result.state == "failed"
    assert "nope" in str(result.error)


def test_default_args_reach_the_connection_id() -> None:
    task = AfilnetGetGroupColumnsOperator(task_id="t", group_id="1", default_args={"afilnet_conn_id": "other"})
    assert task.afilnet_conn_id == "other"
    assert task.hook.afilnet_conn_id == "other"
