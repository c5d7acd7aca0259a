"""Options left at their defaults cost a DAG file nothing, and are template fields like any other when the task runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk import DAG, task
from airflow_of import stored

from airflow_provider_afilnet.operators.contacts import AfilnetUpsertContactsOperator
from airflow_provider_afilnet.sandbox import Sandbox
from airflow_provider_afilnet.transfers.sql_to_afilnet_group import SqlToAfilnetGroupOperator

Run = Callable[..., Any]

PEOPLE = [{"mobile": "34611223344", "name": "Ana"}]
ALL = set(AfilnetUpsertContactsOperator.template_fields)


class NeverEqual:
    """As a column of a table, whose comparison has no truth."""

    def __eq__(self, other: object) -> Any:
        raise ValueError("ambiguous")

    __hash__ = None  # type: ignore[assignment]


def upsert(**options: Any) -> AfilnetUpsertContactsOperator:
    return AfilnetUpsertContactsOperator(**{"task_id": "t", "group_id": "1", "contacts": PEOPLE, **options})


def test_only_what_was_given_is_a_template_field_of_a_dag_file() -> None:
    assert set(upsert().template_fields) == {"group_id", "contacts"}
    given = upsert(afilnet_conn_id="mine", mode="mirror", dry_run=True, settle=10, verify="true", max_deletes=0.1)
    # Ten seconds are the default, as a number with a point; the whole number is another value.
    assert set(given.template_fields) == {
        "afilnet_conn_id", "group_id", "contacts", "mode", "plan_only", "settle", "verify",
    }  # fmt: skip
    assert set(upsert(suppress=NeverEqual()).template_fields) == {"group_id", "contacts", "suppress"}
    sql = SqlToAfilnetGroupOperator(task_id="s", group_id="1", sql="SELECT 1", sql_conn_id="db")
    assert set(sql.template_fields) == {"group_id", "sql", "sql_conn_id", "parameters"}
    assert len(ALL) > 25


def test_default_args_are_given() -> None:
    with DAG("d", schedule=None, default_args={"mode": "{{ params.mode }}"}):
        assert set(upsert().template_fields) == {"group_id", "contacts", "mode"}


def test_the_serialised_dag_holds_what_was_given() -> None:
    with DAG("d", schedule=None) as dag:
        upsert(mode="mirror")
    (kept,) = stored(dag)["dag"]["tasks"]
    assert set(kept["__var"]["template_fields"]) == {"group_id", "contacts", "mode"}
    assert ALL & set(kept["__var"]) == {"group_id", "contacts", "mode"}


def test_an_option_that_is_given_later_may_be_a_template_or_a_task() -> None:
    with DAG("d", schedule=None):

        @task
        def opt_outs() -> list[str]:
            return []

        operator = upsert()
        operator.mode = "{{ params.mode }}"
        assert set(operator.template_fields) == ALL
        other = upsert(task_id="other")
        other.suppress = opt_outs()  # type: ignore[assignment]
        assert other.upstream_task_ids == {"opt_outs"}
    operator.render_template_fields({"params": {"mode": "mirror"}})  # type: ignore[typeddict-item]
    assert operator.mode == "mirror"


def test_all_of_them_show_when_the_task_runs(
    run_task: Run, sandbox: Sandbox, afilnet_conn: Callable[..., None]
) -> None:
    group = sandbox.create_group("g", "mobile", ["mobile", "name"])
    operator = upsert(group_id="{{ params.g }}", params={"g": group}, dry_run="{{ 1 == 2 }}", settle=0.2)
    result = run_task(operator)
    assert result.state == "success", result.error
    (shown,) = [message for message in result.sent if type(message).__name__ == "SetRenderedFields"]
    assert set(shown.rendered_fields) == ALL
    assert shown.rendered_fields["group_id"] == group
    assert shown.rendered_fields["mode"] == "upsert"
    assert shown.rendered_fields["plan_only"] == "False"


@pytest.mark.parametrize("mode", ["insert", "upsert"])
def test_a_copy_is_like_its_original(mode: str) -> None:
    import copy

    operator = upsert(mode=mode)
    assert set(copy.deepcopy(operator).template_fields) >= set(operator.template_fields)
    assert copy.deepcopy(operator).mode == mode
