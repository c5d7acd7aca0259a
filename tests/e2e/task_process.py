"""Refresh tasks in processes of their own, in Airflow's task runner, so that tests can signal, kill and measure them.

Run as ``python task_process.py TASK``, where TASK is a JSON object of arguments of ``SqlToAfilnetGroupOperator``, or
with ``contacts`` among them of ``AfilnetUpsertContactsOperator``, or with ``operator`` of that one (``module:class``):
one task; prints each Variable that it sets, the state it ends in, its XCom and the process's peak of resident memory.
Airflow connections and settings come from the environment.

Run as ``python task_process.py --fork``: a parent that has imported Airflow and forks a child per task, as Airflow's
own supervisor does; see :class:`forked_tasks.ForkServer`, which starts it.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading
import traceback
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow_run import run_one_task

from airflow_provider_afilnet.operators.contacts import AfilnetUpsertContactsOperator
from airflow_provider_afilnet.transfers.sql_to_afilnet_group import SqlToAfilnetGroupOperator

IMPORTED_FIRST = (
    "airflow.providers.postgres.hooks.postgres",
    "airflow.providers.sqlite.hooks.sqlite",
    "airflow.sdk.execution_time.task_runner",
    "airflow_provider_afilnet.refresh.engine",
    "phonenumbers",
)
"""What a task would begin with; a forked child finds it there."""


class PrintedVariables(dict[str, str]):
    """Airflow Variables, printed when they are set: a process that is killed cannot hand them over."""

    def __setitem__(self, name: str, value: str) -> None:
        super().__setitem__(name, value)
        print(f"variable: {json.dumps({name: value})}", flush=True)


def run(arguments: dict[str, Any]) -> None:
    if path := arguments.pop("operator", None):
        module, _, name = path.partition(":")
        end(getattr(importlib.import_module(module), name)(**arguments))
        return
    timeout = arguments.pop("execution_timeout", None)
    query = {"sql_conn_id": "warehouse", "sql": "SELECT mobile, name FROM customers"}
    operator, source = (
        (AfilnetUpsertContactsOperator, {}) if "contacts" in arguments else (SqlToAfilnetGroupOperator, query)
    )
    task = operator(
        **{
            "task_id": "refresh",
            "mode": "mirror",
            **source,
            **arguments,
            "execution_timeout": timedelta(seconds=timeout) if timeout else None,
        }
    )
    end(task)


def end(task: Any) -> None:
    """Run the task to its end."""
    print("begins", flush=True)
    with pytest.MonkeyPatch.context() as patch:
        result = run_one_task(task, patch, variables=PrintedVariables())
    print(f"ended: {result.state} {type(result.error).__name__} {result.error or ''}", flush=True)
    print(f"value: {json.dumps(result.value)}", flush=True)
    print(f"peak: {peak()}", flush=True)


def peak() -> int:
    """The most memory in KiB that was ever resident."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def serve() -> None:
    """Fork a child for each line of input, and tell its pid, and how it ended once the next line asks."""
    for line in sys.stdin:
        order = json.loads(line)
        assert threading.active_count() == 1, "a process with threads must not be forked"
        pid = os.fork()
        if pid == 0:
            child(order)
        print(json.dumps({"pid": pid}), flush=True)
        sys.stdin.readline()
        # Unreaped until here, so that the pid cannot be another process's when it is killed.
        print(json.dumps({"status": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}), flush=True)


def child(order: dict[str, Any]) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    output = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.update(order["environment"])
    code = 1
    try:
        run(order["task"])
        code = 0
    except BaseException:  # noqa: BLE001 - a child ends here, whatever happens
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    if sys.argv[1] == "--fork":
        for module in IMPORTED_FIRST:
            importlib.import_module(module)
        print("ready", flush=True)
        serve()
    else:
        run(json.loads(sys.argv[1]))
