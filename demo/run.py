"""The main job for real: a warehouse table becomes an Afilnet group, the table changes, and the group follows.

Runs the example DAG with ``airflow dags test`` against the sandbox, twice, and proves each time that group and query
are equal. Exit status 0 only if they are.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from warehouse import Warehouse

from airflow_provider_afilnet.sandbox import Sandbox

ROOT = Path(__file__).resolve().parent.parent
DAG_ID = "afilnet_refresh_customers"
ROWS, INVALID = 5000, 12
CHANGE = {"new": 120, "changed": 90, "gone": 60}
STARTED = time.monotonic()


def say(text: str) -> None:
    """Print a line with the seconds since the start."""
    print(f"[{time.monotonic() - STARTED:5.1f} s] {text}", flush=True)


def from_here(path: Path) -> str:
    """A path as the reader would write it from where the demo was started."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def airflow(arguments: list[str], environment: dict[str, str], log: Path, sandbox: Sandbox) -> None:
    """Run one Airflow command; say every few seconds how far it got. Its output goes to ``log``."""
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "airflow", *arguments], env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        next_line = time.monotonic() + 3
        while process.poll() is None:
            time.sleep(0.1)
            if time.monotonic() >= next_line:
                held = sum(len(sandbox.contacts(group["id"])) for group in sandbox.groups())
                say(f"  … working: {held} contacts at the sandbox, {len(sandbox.calls)} calls so far")
                next_line += 3
    if process.returncode:
        print(log.read_text()[-4000:])
        sys.exit(f"airflow {' '.join(arguments)} failed with status {process.returncode}; see {log}")


def newest_report(reports: Path) -> Path:
    """The report folder of the run that ended last."""
    return max(reports.rglob("report.json"), key=lambda path: path.stat().st_mtime).parent


def differences(sandbox: Sandbox, group_id: str, wanted: dict[str, tuple[str, str]]) -> dict[str, int]:
    """Compare what the sandbox stores with what the table says: both straight from their databases."""
    held = [(c["mobile"], (c.get("name", ""), c.get("city", ""))) for c in sandbox.contacts(group_id)]
    by_phone = dict(held)
    return {
        "missing": sum(phone not in by_phone for phone in wanted),
        "surplus": sum(phone not in wanted for phone in by_phone),
        "different": sum(phone in wanted and wanted[phone] != values for phone, values in by_phone.items()),
        "doubled": len(held) - len(by_phone),
    }


def one_run(
    title: str, environment: dict[str, str], build: Path, sandbox: Sandbox, warehouse: Warehouse
) -> dict[str, int]:
    """Run the DAG once, print its counts, and return the differences that are left."""
    sandbox.clear_calls()
    say(f"{title}: airflow dags test {DAG_ID}")
    airflow(["dags", "test", DAG_ID], environment, build / f"{title.replace(' ', '_')}.log", sandbox)
    folder = newest_report(build / "reports")
    result = json.loads((folder / "report.json").read_text())["result"]
    left = differences(sandbox, result["group_id"], warehouse.wanted())
    say(
        f"  added {result['added']}, updated {result['updated']}, deleted {result['deleted']}, unchanged "
        f"{result['unchanged']}, rejected {result['rejected']} of {result['source_rows']} rows; "
        f"{result['requests']} requests in {result['duration_s']} s"
    )
    say(f"  report: {from_here(folder)}")
    held = len(sandbox.contacts(result["group_id"]))
    shown = ", ".join(f"{number} {what}" for what, number in left.items())
    say(f"  proof: {len(warehouse.wanted())} contacts wanted, {held} in the group; {shown}")
    return left


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "demo", help="folder for everything it makes")
    build: Path = parser.parse_args().build.resolve()
    shutil.rmtree(build, ignore_errors=True)
    build.mkdir(parents=True)

    warehouse = Warehouse(build / "warehouse.sqlite")
    warehouse.fill(ROWS, INVALID)
    database = from_here(build / "warehouse.sqlite")
    say(f"warehouse: {ROWS} customers in {database}, {INVALID} of them with unusable phones")

    with Sandbox(user="demo", password="demo") as sandbox:
        say(f"sandbox: {sandbox.url}")
        connection = {
            "conn_type": "afilnet",
            "host": sandbox.url,
            "login": sandbox.user,
            "password": sandbox.password,
            "extra": {"max_requests_per_second": 200},
        }
        environment = {
            # Settings of another Airflow on this machine are not the demo's.
            **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")},
            "AIRFLOW_HOME": str(build / "airflow"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "example_dags"),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{build / 'airflow' / 'airflow.db'}",
            "AIRFLOW_CONN_AFILNET_DEFAULT": json.dumps(connection),
            "AIRFLOW_CONN_WAREHOUSE": json.dumps({"conn_type": "sqlite", "host": str(build / "warehouse.sqlite")}),
            "AIRFLOW_VAR_AFILNET_REPORTS": str(build / "reports"),
        }
        say("airflow db migrate")
        airflow(["db", "migrate"], environment, build / "db_migrate.log", sandbox)
        left = [one_run("first run", environment, build, sandbox, warehouse)]
        warehouse.change(**CHANGE)
        say(f"the table changes: {CHANGE['new']} new, {CHANGE['changed']} changed, {CHANGE['gone']} gone")
        left.append(one_run("second run", environment, build, sandbox, warehouse))

    if any(any(run.values()) for run in left):
        say("Group and query DIFFER.")
        return 1
    say("Group and query are equal after both runs.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
