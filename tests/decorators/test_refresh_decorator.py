"""``@task.afilnet_refresh``: rows from a function, in Airflow's task runner and in whole DAGs."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException, Asset
from airflow.sdk import task
from airflow_of import dag_bag, stored_and_read
from task_logs import PASSWORD, Logs, variables_of

from airflow_provider_afilnet import exceptions
from airflow_provider_afilnet.sandbox import Sandbox

pytestmark = pytest.mark.usefixtures("afilnet_conn")

Run = Callable[..., Any]

ANA = {"mobile": "34600000001", "name": "Ana"}
BEN = {"mobile": "34600000002", "name": "Ben"}


@pytest.fixture
def group(sandbox: Sandbox) -> str:
    return sandbox.create_group("customers", "mobile", ["mobile", "name"], [ANA])


def decorated(function: Callable[..., Any], group: str, *args: Any, **options: Any) -> Any:
    """The operator that a DAG file gets for a decorated function."""
    with DAG("d", schedule=None):
        return task.afilnet_refresh(**{"group_id": group, "settle": 0.2, **options})(function)(*args).operator


def people(sandbox: Sandbox, group: str) -> list[dict[str, str]]:
    return [{k: v for k, v in contact.items() if k != "idcontact"} for contact in sandbox.contacts(group)]


# --- rows ------------------------------------------------------------------------------------------------------------


def a_list() -> list[dict[str, str]]:
    return [ANA, BEN]


def a_tuple() -> tuple[dict[str, str], ...]:
    return ANA, BEN


def a_generator() -> Iterator[dict[str, str]]:
    yield ANA
    yield BEN


def an_iterator() -> Iterator[dict[str, str]]:
    return iter([ANA, BEN])


@pytest.mark.parametrize("function", [a_list, a_tuple, a_generator, an_iterator])
def test_the_group_follows_the_functions_rows(
    run_task: Run, sandbox: Sandbox, group: str, function: Callable[..., Any]
) -> None:
    result = run_task(decorated(function, group, mode="mirror"))
    assert result.state == "success", result.error
    assert people(sandbox, group) == [ANA, BEN]
    assert (result.value["added"], result.value["unchanged"], result.value["source_rows"]) == (1, 1, 2)


def test_rows_come_as_a_stream(run_task: Run, sandbox: Sandbox, group: str) -> None:
    """Each row can go before the next is made."""
    import weakref

    class Row(dict[str, str]):
        pass

    alive: weakref.WeakSet[Any] = weakref.WeakSet()
    most = 0

    class Watched:
        """Lives as long as the row that holds it."""

    def rows() -> Iterator[Row]:
        nonlocal most
        for n in range(5000):
            row = Row(mobile=f"346{n:08d}")
            mark = Watched()
            row.mark = mark  # type: ignore[attr-defined]
            alive.add(mark)
            del mark
            most = max(most, len(alive))
            yield row
            del row

    result = run_task(decorated(rows, group))
    assert result.state == "success", result.error
    assert result.value["source_rows"] == 5000
    assert most < 10


def test_a_contact_that_was_read_can_be_fed_back(run_task: Run, sandbox: Sandbox, group: str) -> None:
    read = sandbox.contacts(group)
    result = run_task(decorated(lambda: read, group, task_id="t"))
    assert (result.state, result.value["unchanged"]) == ("success", 1), result.error


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (None, "not return NoneType"),
        ("people.csv", "not return str"),
        (ANA, "not return dict"),
        (7, "not return int"),
        ([ANA, "34600000002"], "row 2 is str"),
        ([("34600000002", "Ben")], "row 1 is tuple"),
    ],
)
def test_what_is_no_row_writes_nothing_and_is_not_retried(
    run_task: Run, sandbox: Sandbox, group: str, given: Any, says: str
) -> None:
    result = run_task(decorated(lambda: given, group, task_id="t", retries=3))
    assert result.state == "failed"
    assert isinstance(result.error.__cause__, exceptions.AfilnetSourceError)
    assert says in str(result.error)
    assert "34600000002" not in str(result.error)
    assert sandbox.writes == 0


def test_no_rows_are_an_accident_unless_they_are_allowed(run_task: Run, sandbox: Sandbox, group: str) -> None:
    assert run_task(decorated(lambda: (), group, task_id="t", mode="mirror")).state == "failed"
    assert people(sandbox, group) == [ANA]
    allowed = decorated(lambda: iter(()), group, task_id="t", mode="mirror", allow_empty=True)
    assert run_task(allowed).state == "success"
    assert people(sandbox, group) == []


def test_async_functions_are_refused_where_the_dag_is_read() -> None:
    async def coroutine() -> list[dict[str, str]]:
        return []

    async def generator() -> Any:
        yield ANA

    for function in (coroutine, generator):
        with pytest.raises(TypeError, match="plain function or generator"):
            decorated(function, "1")


# --- errors, retries, kills ------------------------------------------------------------------------------------------


def test_a_generator_that_raises_half_way_writes_nothing(run_task: Run, sandbox: Sandbox, group: str) -> None:
    closed = []

    def rows() -> Iterator[dict[str, str]]:
        try:
            for n in range(3000):
                yield {"mobile": f"346{n:08d}"}
            raise RuntimeError("the source broke")
        finally:
            closed.append(True)

    result = run_task(decorated(rows, group, mode="mirror", max_deletes=1.0, retries=1))
    assert result.state == "up_for_retry"
    assert isinstance(result.error, RuntimeError)
    assert (sandbox.writes, people(sandbox, group), closed) == (0, [ANA], [True])


def test_a_generator_is_closed_when_the_refresh_ends_before_it(run_task: Run, sandbox: Sandbox, group: str) -> None:
    closed = []

    def rows() -> Iterator[Any]:
        try:
            yield ANA
            yield "no row"
            yield BEN
        finally:
            closed.append(True)

    result = run_task(decorated(rows, group))
    assert result.state == "failed"
    assert closed == [True]


def test_a_retry_calls_the_function_again(run_task: Run, sandbox: Sandbox, group: str) -> None:
    tries = []

    def rows() -> list[dict[str, str]]:
        tries.append(1)
        if len(tries) == 1:
            raise ConnectionError("not yet")
        return [ANA, BEN]

    operator = decorated(rows, group, retries=1)
    assert run_task(operator).state == "up_for_retry"
    assert run_task(operator, try_number=2).state == "success"
    assert len(tries) == 2
    assert people(sandbox, group) == [ANA, BEN]


@pytest.mark.parametrize("where", ["before", "between"])
def test_airflows_own_exceptions_pass(run_task: Run, sandbox: Sandbox, group: str, where: str) -> None:
    from airflow.providers.common.compat.sdk import AirflowSkipException

    def skips() -> list[dict[str, str]]:
        raise AirflowSkipException("nothing today")

    def skips_between() -> Iterator[dict[str, str]]:
        yield BEN
        raise AirflowSkipException("nothing today")

    result = run_task(decorated(skips if where == "before" else skips_between, group))
    assert result.state == "skipped"
    assert sandbox.writes == 0


def test_an_error_of_ours_in_the_function_ends_as_it_deserves(run_task: Run, sandbox: Sandbox, group: str) -> None:
    def rows() -> list[dict[str, str]]:
        from airflow_provider_afilnet.hooks.afilnet import AfilnetHook

        return AfilnetHook().get_contacts("999")

    result = run_task(decorated(rows, group, retries=3))
    assert result.state == "failed"
    assert isinstance(result.error, AirflowFailException)
    assert isinstance(result.error.__cause__, exceptions.AfilnetAccessError)


def test_a_kill_ends_it_between_two_rows(run_task: Run, sandbox: Sandbox, group: str) -> None:
    """SIGTERM as the supervisor sends it; the decorated task has the kill of every refresh."""
    given = []

    def rows() -> Iterator[dict[str, str]]:
        yield ANA
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
        for n in range(200):
            given.append(n)
            time.sleep(0.05)
            yield {"mobile": f"346{n:08d}"}

    before = signal.getsignal(signal.SIGTERM)
    try:
        result = run_task(decorated(rows, group, retries=1))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert result.state == "up_for_retry"
    assert isinstance(result.error, exceptions.AfilnetStoppedError)
    assert len(given) <= 2
    assert sandbox.writes == 0


# --- templates, arguments, context -----------------------------------------------------------------------------------


def test_options_and_arguments_are_templated(run_task: Run, sandbox: Sandbox, group: str) -> None:
    def rows(name: str, params: Any = None, run_id: str | None = None) -> list[dict[str, str]]:
        assert params["g"] == group
        return [{"mobile": BEN["mobile"], "name": f"{name} of {run_id}"}]

    operator = decorated(
        rows,
        "{{ params.g }}",
        "{{ 'Ben' }}",
        task_id="t",
        params={"g": group},
        mode="{{ 'mirror' }}",
        max_deletes="{{ 1 }}",
        verify="{{ True }}",
    )
    result = run_task(operator)
    assert result.state == "success", result.error
    assert people(sandbox, group) == [{"mobile": BEN["mobile"], "name": "Ben of manual__t"}]


def test_column_map_report_and_outlets_are_those_of_a_refresh(
    run_task: Run, sandbox: Sandbox, group: str, tmp_path: Any
) -> None:
    asset = Asset(uri=f"afilnet://group/{group}")
    operator = decorated(
        lambda: [{"phone": BEN["mobile"]}, {"phone": "12"}],
        group,
        task_id="t",
        column_map={"phone": "mobile"},
        invalid_rows="reject",
        max_rejected=1,
        report_path=str(tmp_path / "{{ run_id }}"),
        outlets=[asset],
    )
    result = run_task(operator)
    assert result.state == "success", result.error
    assert (result.value["added"], result.value["rejected"]) == (1, 1)
    assert result.context["outlet_events"][asset].extra == result.value
    assert (tmp_path / "manual__t" / "rejects.jsonl").read_text().count("\n") == 1


def test_the_rows_are_in_no_xcom_no_rendered_field_and_no_log(run_task: Run, group: str, logs: Logs) -> None:
    phone, name = "34611223344", "Zoraida"

    def rows() -> Iterator[dict[str, str]]:
        yield {"mobile": phone, "name": name}

    def wrong() -> Iterator[dict[str, str]]:
        yield {"mobile": phone, "name": name}
        yield {"mobile": "12", "name": name}

    results = [run_task(decorated(function, group), finalize=True) for function in (rows, wrong)]
    assert [result.state for result in results] == ["success", "failed"]
    left = [repr(result.error) + repr(result.xcoms) + repr(result.message) for result in results]
    left += [repr(m) for result in results for m in result.sent if type(m).__name__ != "MaskSecret"]
    left += [text for result in results for text in variables_of(result.error)]
    assert any("SetRenderedFields" in text for text in left)
    for secret in (phone, name, PASSWORD):
        assert secret not in "\n".join(left) + logs.text


# --- whole DAGs ------------------------------------------------------------------------------------------------------

HEAD = """
from airflow.sdk import DAG, dag, task
from airflow_provider_afilnet.operators.groups import AfilnetCreateGroupOperator
"""


def test_a_dag_hands_a_new_group_and_arguments_to_it(run_dag: Run, sandbox: Sandbox) -> None:
    result = run_dag(
        "flow",
        HEAD
        + """
with DAG("flow", schedule=None) as flow:
    group = AfilnetCreateGroupOperator(task_id="create", name="g", group_type="mobile", fields="mobile,name")

    @task
    def day() -> str:
        return "2026-01-01"

    @task.afilnet_refresh(group_id=group.output, settle=0.2)
    def customers(day):
        for n in range(3):
            yield {"mobile": f"3460000000{n}", "name": day}

    @task
    def check(counts):
        assert counts["added"] == 3

    check(customers(day()))
""",
    )
    assert result.state == "success", result.states
    (group,) = sandbox.groups()
    assert [contact["name"] for contact in sandbox.contacts(group["id"])] == ["2026-01-01"] * 3
    assert result.values["customers"]["group_id"] == group["id"]


def test_a_mapped_function_feeds_a_group_for_each_argument(run_dag: Run, sandbox: Sandbox) -> None:
    groups = {name: sandbox.create_group(name, "mobile", ["mobile", "name"]) for name in ("gold", "new")}
    result = run_dag(
        "mapped_flow",
        HEAD
        + f"""
GROUPS = {groups!r}
with DAG("mapped_flow", schedule=None) as flow:
    @task.afilnet_refresh(
        group_id="{{{{ params.groups[task.op_kwargs.segment] }}}}", settle=0.2, params={{"groups": GROUPS}}
    )
    def customers(segment, n):
        yield {{"mobile": f"3460000000{{n}}", "name": segment}}

    customers.partial(n=5).expand(segment=list(GROUPS))
""",
    )
    assert result.state == "success", result.states
    for name, group in groups.items():
        assert people(sandbox, group) == [{"mobile": "34600000005", "name": name}]


def test_a_function_that_breaks_makes_a_red_run_and_writes_nothing(run_dag: Run, sandbox: Sandbox, group: str) -> None:
    result = run_dag(
        "broken_flow",
        HEAD
        + f"""
with DAG("broken_flow", schedule=None) as flow:
    @task.afilnet_refresh(group_id="{group}", mode="mirror", settle=0.2)
    def customers():
        yield {{"mobile": "34600000007"}}
        raise RuntimeError("the source broke")

    customers()
""",
    )
    assert (result.state, result.states) == ("failed", {"customers": "failed"})
    assert sandbox.writes == 0


def test_the_dag_bag_reads_it_and_the_scheduler_can_store_it(tmp_path: Any) -> None:
    (tmp_path / "flow.py").write_text(
        HEAD
        + """
@dag(schedule=None)
def stored():
    @task.afilnet_refresh(group_id="1000")
    def customers(segment="x"):
        return []

    customers()
    customers.override(task_id="mapped").expand(segment=["a", "b"])

stored()
"""
    )
    bag = dag_bag(tmp_path / "flow.py")
    assert bag.import_errors == {}
    dag = bag.dags["stored"]
    assert set(dag.task_ids) == {"customers", "mapped"}
    back = stored_and_read(dag).get_task("customers")
    assert {link.name for link in back.operator_extra_links} == {"Afilnet group", "Afilnet report"}
    assert back.task_type == "_AfilnetRefreshDecoratedOperator"
    assert back.operator_name == "@task.afilnet_refresh"
