"""A real Airflow for tests: ``airflow standalone`` with scheduler, triggerer, DAG processor and API server.

Everything that it makes is below one folder, it listens on this machine only, and all its processes end with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import requests

STARTS_WITHIN = 240.0
"""Seconds; a quiet machine with two cores needs some thirty."""
PARTS = ("metadatabase", "scheduler", "triggerer", "dag_processor")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class AirflowServer:
    """``airflow standalone`` in ``home``, with the DAG files of ``dags``; use it as a context manager.

    :param more: further environment, such as connections, variables and settings.
    """

    def __init__(self, home: Path, dags: Path, more: Mapping[str, str]) -> None:
        self.home = home
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        self._log = home / "standalone.log"
        self._environment = {
            # Settings of the tests' own process, or of another Airflow on this machine, are not this one's.
            **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")},
            # `standalone` starts its parts by the name `airflow`.
            "PATH": str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"],
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "10",
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            **more,
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._rest = requests.Session()
        self._rest.trust_env = False

    def __enter__(self) -> AirflowServer:
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True)
        with self._log.open("wb") as output:
            # A session of its own: that is how its processes are found when it is ended.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "airflow", "standalone"],
                env=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self.wait(self._healthy, "Airflow to be healthy", STARTS_WITHIN)
            token = self._rest.get(f"{self.url}/auth/token", timeout=20).json()["access_token"]
        except BaseException:
            self.stop()
            raise
        self._rest.headers["Authorization"] = f"Bearer {token}"
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End every process of this Airflow."""
        assert self._process is not None
        # Tasks are in sessions of their own, so they are noted before their parents are gone.
        ours = psutil.Process(self._process.pid).children(recursive=True) if self._process.poll() is None else []
        for number, seconds in ((signal.SIGINT, 5), (signal.SIGTERM, 5), (signal.SIGKILL, 10)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
                break
        for process in ours:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(ours, timeout=10)

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """Call the REST API and answer its JSON; ``path`` begins behind ``/api/v2``."""
        answer = self._rest.request(method, f"{self.url}/api/v2{path}", json=body, params=query, timeout=30)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text[:1000]}"
        return answer.json() if answer.content else None

    def wait(self, look: Callable[[], Any], what: str, seconds: float = 120.0) -> Any:
        """Look until ``look`` answers something true, which is returned."""
        assert self._process is not None
        end = time.monotonic() + seconds
        while not (seen := look()):
            assert self._process.poll() is None, f"Airflow ended by itself:\n{self.log_end()}"
            assert time.monotonic() < end, f"waited {seconds:.0f} s for {what}:\n{self.log_end()}"
            time.sleep(0.2)
        return seen

    def log_end(self) -> str:
        return self._log.read_text(errors="replace")[-4000:]

    def _healthy(self) -> bool:
        try:
            health = self._rest.get(f"{self.url}/api/v2/monitor/health", timeout=20).json()
        except (requests.ConnectionError, requests.Timeout, ValueError):
            return False
        return all((health.get(part) or {}).get("status") == "healthy" for part in PARTS)

    # DAGs, runs and tasks

    def unpause(self, *dag_ids: str) -> None:
        """Let the scheduler run these DAGs, once it knows them."""
        for dag_id in dag_ids:
            self.wait(lambda dag_id=dag_id: self._knows(dag_id), f"Airflow to read the DAG {dag_id}")
            self.call("PATCH", f"/dags/{dag_id}", {"is_paused": False})

    def _knows(self, dag_id: str) -> bool:
        errors = self.call("GET", "/importErrors")["import_errors"]
        assert not errors, json.dumps(errors, indent=1)
        return dag_id in {dag["dag_id"] for dag in self.call("GET", "/dags", limit=100)["dags"]}

    def trigger(self, dag_id: str, **conf: Any) -> str:
        """Start a run by hand; answers its id."""
        return self.call("POST", f"/dags/{dag_id}/dagRuns", {"logical_date": None, "conf": conf})["dag_run_id"]

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """The DAG's runs, oldest first."""
        return self.call("GET", f"/dags/{dag_id}/dagRuns", order_by="run_after", limit=100)["dag_runs"]

    def finished(self, dag_id: str, number: int, seconds: float = 180.0) -> dict[str, Any]:
        """Wait until ``number`` runs of the DAG are over, and answer the one that ended last."""

        def over() -> list[dict[str, Any]]:
            found = [run for run in self.runs(dag_id) if run["state"] in ("success", "failed")]
            return found if len(found) >= number else []

        return max(self.wait(over, f"{number} runs of {dag_id}", seconds), key=lambda run: run["end_date"])

    def run_over(self, dag_id: str, run_id: str, seconds: float = 180.0) -> dict[str, Any]:
        """Wait until this run is over, and answer it."""

        def over() -> dict[str, Any] | None:
            run = self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}")
            return run if run["state"] in ("success", "failed") else None

        return self.wait(over, f"the run {run_id} of {dag_id}", seconds)

    def tasks(self, dag_id: str, run_id: str) -> dict[str, dict[str, Any]]:
        """Task id to task instance of a run without mapped tasks."""
        found = self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances")["task_instances"]
        return {task["task_id"]: task for task in found}

    def states(self, dag_id: str, run_id: str) -> dict[str, str | None]:
        """Task id to state."""
        return {task_id: task["state"] for task_id, task in self.tasks(dag_id, run_id).items()}

    def task_log(self, dag_id: str, run_id: str, task_id: str, try_number: int) -> str:
        """What a try logged, as the web interface shows it."""
        where = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}"
        return json.dumps(self.call("GET", where, full_content=True), ensure_ascii=False)

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        where = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        return self.call("GET", where)["value"]
