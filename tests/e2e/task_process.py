"""One refresh task in a process of its own, in Airflow's task runner, so that tests can signal and kill it.

Run as ``python task_process.py GROUP_ID DATABASE [EXECUTION_TIMEOUT_SECONDS]``; prints the state the task ends in. The
Airflow connections and settings come from the environment.
"""

from __future__ import annotations

import sys
from datetime import timedelta

import pytest
from airflow_run import run_one_task

from airflow_provider_afilnet.transfers.sql_to_afilnet_group import SqlToAfilnetGroupOperator


def main() -> None:
    group_id, timeout = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else None
    task = SqlToAfilnetGroupOperator(
        task_id="refresh",
        sql_conn_id="warehouse",
        sql="SELECT mobile, name FROM customers",
        group_id=group_id,
        mode="mirror",
        max_deletes=1.0,
        settle=1,
        execution_timeout=timedelta(seconds=timeout) if timeout else None,
    )
    print("begins", flush=True)
    with pytest.MonkeyPatch.context() as patch:
        result = run_one_task(task, patch)
    print(f"ended: {result.state} {type(result.error).__name__}", flush=True)


main()
