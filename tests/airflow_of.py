"""What differs between the versions of Airflow for the tests: private modules that moved, and what a version lacks."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

VERSION: Final = tuple(int(part) for part in version("apache-airflow-core").split(".")[:2])
RETRY_POLICIES: Final = VERSION >= (3, 3)
"""Whether Airflow asks retry policies."""
LABELLED_FORM: Final = VERSION >= (3, 3)
"""Whether the form of a connection is made of the provider's metadata."""


def redact(text: str) -> Any:
    """What Airflow's masker of secrets leaves of a text."""
    if VERSION >= (3, 1):
        from airflow.sdk.log import redact
    else:
        from airflow.sdk.execution_time.secrets_masker import redact
    return redact(text)


def sent_and_received(arguments: dict[str, Any]) -> Any:
    """A trigger's arguments as they arrive in the triggerer."""
    if VERSION >= (3, 2):
        from airflow.sdk.serde import deserialize, serialize

        return deserialize(serialize(arguments))
    from airflow.serialization.serialized_objects import BaseSerialization

    return BaseSerialization.deserialize(BaseSerialization.serialize(arguments))


def sent_to_task(next_kwargs: dict[str, Any] | None) -> Any:
    """The arguments of a resumed task as the server sends them: plain JSON since 3.2, Airflow's own form before."""
    if next_kwargs is None or VERSION >= (3, 2):
        return next_kwargs
    from airflow.serialization.serialized_objects import BaseSerialization

    return BaseSerialization.serialize(next_kwargs)


def task_log() -> Any:
    """The log that a task is given. Before 3.1 nobody has set one up here, and structlog's own takes a second to draw a
    traceback; so it is one that writes tracebacks plainly, as later versions do.
    """
    import structlog

    if VERSION >= (3, 1):
        return structlog.get_logger("task")
    return structlog.wrap_logger(
        structlog.PrintLogger(),
        processors=[
            structlog.processors.add_log_level,
            structlog.dev.set_exc_info,
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
        ],
        wrapper_class=structlog.make_filtering_bound_logger("debug"),
    )


def dag_bag(file: Path) -> Any:
    """The DAGs of a file, as the DAG processor reads them."""
    if VERSION >= (3, 2):
        from airflow.dag_processing.dagbag import BundleDagBag

        return BundleDagBag(dag_folder=file, bundle_path=file.parent, bundle_name="tests", load_op_links=False)
    from airflow.models.dagbag import DagBag

    return DagBag(dag_folder=file, bundle_path=file.parent, include_examples=False, load_op_links=False)


def _serialiser() -> Any:
    if VERSION >= (3, 2):
        from airflow.serialization.serialized_objects import DagSerialization
    else:
        from airflow.serialization.serialized_objects import SerializedDAG as DagSerialization
    return DagSerialization


def stored(dag: Any) -> dict[str, Any]:
    """A DAG as the DAG processor stores it."""
    return _serialiser().to_dict(dag)


def stored_and_read(dag: Any) -> Any:
    """A DAG as the scheduler reads it, after the DAG processor has stored it."""
    return _serialiser().from_dict(stored(dag))


def store_for_test(file: Path) -> None:
    """Store the DAGs of a file, so that their Assets are known: ``DAG.test`` does that itself on later versions."""
    if VERSION >= (3, 1):
        return
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    DagBundlesManager().sync_bundles_to_db()
    dag_bag(file).sync_to_db("dags-folder", None)


def supplied_by_providers() -> Any:
    """Airflow's register of what providers supply, as a task sees it."""
    if VERSION >= (3, 2):
        from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime as Manager
    else:
        from airflow.providers_manager import ProvidersManager as Manager
    return Manager()


def trigger_supervisor() -> type[Any]:
    """The class that starts, feeds and hears the process in which triggers run, without a job of the database."""
    from airflow.jobs.triggerer_job_runner import TriggerRunnerSupervisor

    if VERSION >= (3, 2):
        return TriggerRunnerSupervisor

    class Supervisor(TriggerRunnerSupervisor):
        """With the seams that it has since 3.2."""

        @classmethod
        def start(cls, **options: Any) -> Any:
            return super().start(job=SimpleNamespace(id=1, hostname="localhost"), **options)

        def run_once(self) -> None:
            self._service_subprocess(1)
            while self.events:
                self.on_trigger_event(*self.events.popleft())
            while self.failed_triggers:
                self.on_trigger_failure(*self.failed_triggers.popleft())

    return Supervisor
