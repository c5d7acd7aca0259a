"""What the tests of this folder share: a real Airflow, a sandbox that answers at once, and one that is slow."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_server import AirflowServer
from task_logs import PASSWORD
from warehouse import Warehouse

from airflow_provider_afilnet.sandbox import Sandbox

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "standalone"
CUSTOMERS, INVALID = 500, 3
SLOW_ROWS = 4000


@dataclass
class World:
    """What the tests of this folder share."""

    airflow: AirflowServer
    sandbox: Sandbox
    slow: Sandbox
    warehouse: Warehouse
    reports: Path

    def stage(self) -> None:
        """Bring the shop's customers into the staging table, from which the loading DAG takes them."""
        with sqlite3.connect(BUILD / "warehouse.sqlite") as database:
            database.execute("ATTACH ? AS shop", (str(BUILD / "shop.sqlite"),))
            database.execute("DROP TABLE IF EXISTS staging_customers")
            database.execute("CREATE TABLE staging_customers AS SELECT * FROM shop.customers")


@contextmanager
def open_world() -> Iterator[World]:
    shutil.rmtree(BUILD, ignore_errors=True)
    dags = BUILD / "dags"
    shutil.copytree(ROOT / "example_dags", dags, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(Path(__file__).parent / "dags", dags, dirs_exist_ok=True)
    warehouse = Warehouse(BUILD / "shop.sqlite")
    warehouse.fill(CUSTOMERS, INVALID)
    with sqlite3.connect(BUILD / "slow.sqlite") as database:
        database.execute("CREATE TABLE customers (mobile TEXT, name TEXT)")
        database.executemany(
            "INSERT INTO customers VALUES (?, ?)", [(f"346{i:08d}", f"Ana {i}") for i in range(SLOW_ROWS)]
        )
    with Sandbox(user="demo", password=PASSWORD) as sandbox, Sandbox(user="demo", password=PASSWORD) as slow:
        more = {
            "AIRFLOW_CONN_AFILNET_DEFAULT": connection(sandbox),
            "AIRFLOW_CONN_AFILNET_SLOW": connection(slow),
            "AIRFLOW_CONN_WAREHOUSE": json.dumps({"conn_type": "sqlite", "host": str(BUILD / "warehouse.sqlite")}),
            "AIRFLOW_CONN_SLOW_WAREHOUSE": json.dumps({"conn_type": "sqlite", "host": str(BUILD / "slow.sqlite")}),
            "AIRFLOW_VAR_AFILNET_REPORTS": str(BUILD / "reports"),
            # So that a worker that was killed is missed within seconds; the default is five minutes.
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
            "AIRFLOW__AFILNET__PANEL_URL_TEMPLATE": "https://panel.example.com/groups/{group_id}",
            "AIRFLOW__AFILNET__REPORT_URL_TEMPLATES": json.dumps(
                {f"{BUILD}/reports/": "https://files.example.com/reports/{path}"}
            ),
        }
        with AirflowServer(BUILD / "airflow", dags, more) as airflow:
            yield World(airflow, sandbox, slow, warehouse, BUILD / "reports")


def connection(sandbox: Sandbox) -> str:
    """An Airflow connection to this sandbox, as JSON."""
    fields: dict[str, Any] = {
        "conn_type": "afilnet",
        "host": sandbox.url,
        "login": sandbox.user,
        "password": sandbox.password,
        "extra": {"max_requests_per_second": 0},
    }
    return json.dumps(fields)
