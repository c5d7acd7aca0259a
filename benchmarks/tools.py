"""The tools that are compared: how each one's process is started, and with which environment."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.environments import python_of
from benchmarks.job import Job

ROOT: Final = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Tool:
    """One tool. ``name``: as ``--only`` takes it; ``title``: as the table shows it; ``module``: what its process runs;
    ``peer``: its file of requirements, and ``None`` for the project's own environment; ``most_rows``: it is given no
    more rows than these, because it takes a call for each."""

    name: str
    title: str
    module: str
    peer: str | None = None
    most_rows: int | None = None
    from_postgres: bool = False

    def command(self, job: Job) -> list[str]:
        """The command that runs it, made ready if need be."""
        return [python_of(self.peer) if self.peer else sys.executable, "-m", self.module, job.as_argument()]


TOOLS: Final = (
    Tool("ours", "**this refresh** (SQLite)", "benchmarks.ours"),
    Tool("airbyte", "airbyte-cdk", "benchmarks.peers.airbyte", "airbyte"),
    Tool("dlt", "dlt", "benchmarks.peers.dlt_push", "dlt"),
    Tool("drt", "drt-core", "benchmarks.peers.drt_sync", "drt"),
    Tool("singer", "singer-sdk", "benchmarks.peers.singer", "singer"),
    Tool("http-hook", "HttpHook, a call per contact", "benchmarks.peers.http_hook", "http_hook", most_rows=10_000),
    Tool("ours-postgres", "**this refresh** (PostgreSQL)", "benchmarks.ours", from_postgres=True),
)
"""In the order in which they run in each phase."""


def environment(job: Job, folder: Path, postgres: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Of a tool's process: our modules can be imported, Airflow finds its connections, nothing is sent elsewhere.

    :param postgres: the Airflow connection of the PostgreSQL, where that is the source.
    """
    afilnet = {
        "conn_type": "afilnet",
        "host": job.url,
        "login": job.user,
        "password": job.password,
        "extra": {"max_requests_per_second": 0},
    }
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("AIRFLOW") and "proxy" not in name.lower()
    }
    return {
        **kept,
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT),
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
        "AIRFLOW_CONN_AFILNET_DEFAULT": json.dumps(afilnet),
        "AIRFLOW_CONN_AFILNET_HTTP": json.dumps({"conn_type": "http", "host": job.url}),
        "AIRFLOW_CONN_WAREHOUSE": json.dumps(postgres or {"conn_type": "sqlite", "host": job.database}),
        "DO_NOT_TRACK": "1",
        "RUNTIME__DLTHUB_TELEMETRY": "false",
    }
