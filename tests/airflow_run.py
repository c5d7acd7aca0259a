"""Run one task, or one DAG, with Airflow's own machinery and without its services.

``run_one_task`` leans on private modules of the Task SDK (3.x), which is the price for real templating, XCom, retry
states and deferral in some ten milliseconds.
"""

from __future__ import annotations

import importlib.util
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow_of import sent_to_task, store_for_test, task_log

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


class Supervisor:
    """Answers what a task asks its supervisor for: XComs and Variables from dicts, connections from nowhere.

    Connections are looked up in the environment before they get here, so being asked for one means there is none.
    """

    def __init__(self, xcoms: dict[tuple[str, str], Any], variables: dict[str, str], reschedule_start: Any) -> None:
        self.xcoms = xcoms
        self.variables = variables
        self.reschedule_start = reschedule_start
        self.messages: list[Any] = []
        self._answer: Any = None

    def send(self, msg: Any) -> Any:
        from airflow.sdk.execution_time import comms

        self.messages.append(msg)
        kind = type(msg).__name__
        if kind == "SetXCom":
            self.xcoms[msg.task_id, msg.key] = msg.value
        elif kind == "GetXCom":
            return comms.XComResult(key=msg.key, value=self.xcoms.get((msg.task_id, msg.key)))
        elif kind == "GetVariable":
            if msg.key not in self.variables:
                return comms.ErrorResponse(error=comms.ErrorType.VARIABLE_NOT_FOUND)
            return comms.VariableResult(key=msg.key, value=self.variables[msg.key])
        elif kind == "PutVariable":
            self.variables[msg.key] = msg.value
        elif kind == "DeleteVariable":
            self.variables.pop(msg.key, None)
        elif kind == "GetConnection":
            return comms.ErrorResponse(error=comms.ErrorType.CONNECTION_NOT_FOUND)
        elif kind == "GetTaskRescheduleStartDate":
            return comms.TaskRescheduleStartDate(start_date=self.reschedule_start)
        elif kind == "ValidateInletsAndOutlets":
            return comms.InactiveAssetsResult(inactive_assets=[])
        return comms.OKResponse(ok=True)

    async def asend(self, msg: Any) -> Any:
        return self.send(msg)

    # Airflow 3.0 parts the question from the answer.
    def send_request(self, *args: Any, **kwargs: Any) -> None:
        self._answer = self.send(kwargs.get("msg", args[-1] if args else None))

    def get_message(self) -> Any:
        return self._answer


@dataclass
class TaskResult:
    """What a task came to. ``state``: Airflow's word; ``error``: the exception; ``message``: what the runner sends."""

    state: str
    error: BaseException | None
    message: Any
    value: Any
    xcoms: dict[tuple[str, str], Any]
    variables: dict[str, str]
    sent: list[Any]
    task: Any
    context: Any = field(repr=False)


def run_one_task(
    task: Any,
    monkeypatch: pytest.MonkeyPatch,
    *,
    run_id: str = "manual__t",
    conf: dict[str, Any] | None = None,
    xcoms: dict[tuple[str, str], Any] | None = None,
    variables: dict[str, str] | None = None,
    try_number: int = 1,
    next_method: str | None = None,
    next_kwargs: dict[str, Any] | None = None,
    reschedule_start: datetime | None = None,
    finalize: bool = False,
    consumed_asset_events: list[dict[str, Any]] | None = None,
) -> TaskResult:
    """Run ``task`` once. ``variables`` is changed in place, so that it can be handed to the next try.

    ``finalize``: also do what Airflow does at the end of a try: links are computed and callbacks called.
    """
    from airflow.sdk import DAG
    from airflow.sdk.api.datamodels import _generated as models
    from airflow.sdk.execution_time import task_runner

    if not task.has_dag():
        task.dag = DAG("unit_dag", start_date=MOMENT, schedule=None)
    retries = task.retries or 0
    run = {
        "dag_id": task.dag.dag_id,
        "run_id": run_id,
        "logical_date": MOMENT,
        "data_interval_start": MOMENT,
        "data_interval_end": MOMENT,
        "run_after": MOMENT,
        "start_date": MOMENT,
        "end_date": None,
        "run_type": "manual",
        "state": "running",
        "conf": conf or {},
        "consumed_asset_events": consumed_asset_events or [],
        "partition_key": None,
    }
    ti_context = models.TIRunContext(
        dag_run=models.DagRun(**{name: value for name, value in run.items() if name in models.DagRun.model_fields}),
        max_tries=retries,
        should_retry=try_number <= retries,
        task_reschedule_count=1 if reschedule_start else 0,
        next_method=next_method,
        next_kwargs=sent_to_task(next_kwargs),
    )
    ti = task_runner.RuntimeTaskInstance.model_construct(
        id=uuid.uuid4(),
        task_id=task.task_id,
        dag_id=task.dag.dag_id,
        run_id=run_id,
        try_number=try_number,
        map_index=-1,
        dag_version_id=uuid.uuid4(),
        hostname="localhost",
        queue="default",
        context_carrier={},
        task=task,
        bundle_instance=SimpleNamespace(name="unit", version=None, path="."),
        _ti_context_from_server=ti_context,
        max_tries=retries,
        start_date=MOMENT,
        is_mapped=False,
        rendered_map_index=None,
        log_url=None,
    )
    supervisor = Supervisor(
        xcoms if xcoms is not None else {}, variables if variables is not None else {}, reschedule_start
    )
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
    context = ti.get_template_context()
    log = task_log()
    outcome = task_runner.run(ti, context, log)
    if finalize:
        context["exception"] = outcome[2]
        task_runner.finalize(ti, outcome[0], context, log, outcome[2])
    return TaskResult(
        state=str(outcome[0].value),
        error=outcome[2] if len(outcome) > 2 else None,
        message=outcome[1],
        value=supervisor.xcoms.get((task.task_id, "return_value")),
        xcoms=supervisor.xcoms,
        variables=supervisor.variables,
        sent=supervisor.messages,
        task=ti.task,
        context=context,
    )


@dataclass
class DagResult:
    """What a run came to: its state, and task id to state and to return value."""

    state: str
    states: dict[str, str]
    values: dict[str, Any]


def run_dag_file(folder: Path, dag_id: str, source: str, *, conf: dict[str, Any] | None = None) -> DagResult:
    """Write ``source`` as a DAG file and run its DAG ``dag_id`` in this process; deferrals run inline."""
    from airflow.sdk import DAG

    path = folder / f"{dag_id}.py"
    path.write_text(source)
    try:
        spec = importlib.util.spec_from_file_location(f"dag_file_{dag_id}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        dag = next(dag for dag in vars(module).values() if isinstance(dag, DAG) and dag.dag_id == dag_id)
        store_for_test(path)
        run = dag.test(run_conf=conf)
        instances = run.get_task_instances()
        return DagResult(
            state=_word(run.state),
            states={ti.task_id: _word(ti.state) for ti in instances},
            values={ti.task_id: _returned(ti) for ti in instances},
        )
    finally:
        path.unlink()


def _returned(ti: Any) -> Any:
    """A return value as a later task would get it; ``xcom_pull`` of the server's model turns ``"1000"`` into 1000."""
    from airflow.models.xcom import XComModel
    from airflow.sdk.execution_time.xcom import XCom
    from airflow.utils.session import create_session
    from sqlalchemy import select

    where = {"dag_id": ti.dag_id, "run_id": ti.run_id, "task_id": ti.task_id, "map_index": ti.map_index}
    with create_session() as session:
        found = session.scalars(select(XComModel).filter_by(key="return_value", **where)).first()
        return None if found is None else XCom.deserialize_value(found)


def _word(state: Any) -> str:
    return str(getattr(state, "value", state))
