"""A refresh that is timed out or ended by a user: writing stops, nothing is green, and the next run heals."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from forked_tasks import HERE, environment

ROWS = 4000
STOPS_WITHIN = 4.0


@pytest.fixture
def group(sandbox, afilnet_conn, make_conn, tmp_path) -> str:
    """A group that differs a lot from the query, at a server that takes its time."""
    path = tmp_path / "warehouse.sqlite"
    make_conn("warehouse", conn_type="sqlite", host=str(path))
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE customers (mobile TEXT, name TEXT)")
        rows = [(f"346{i:08d}", f"Ana {i}") for i in range(ROWS)]
        database.executemany("INSERT INTO customers VALUES (?, ?)", rows)
    old = [{"mobile": f"346{i:08d}", "name": "Old" if i % 4 == 0 else f"Ana {i}"} for i in range(0, ROWS, 2)]
    gone = [{"mobile": f"347{i:08d}", "name": "Gone"} for i in range(300)]
    group_id = sandbox.create_group("g", "mobile", ["mobile", "name"], contacts=old + gone)
    sandbox.fail("latency", seconds=0.02)
    return group_id


@pytest.fixture
def start(group: str, airflow_home: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start the task in a process of its own."""

    def run(**more: object) -> subprocess.Popen[str]:
        task = {"group_id": group, "max_deletes": 1.0, "settle": 1, **more}
        return subprocess.Popen(
            [sys.executable, str(HERE / "task_process.py"), json.dumps(task)],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    return run


def wait_for_writes(sandbox, number: int, process: subprocess.Popen[str], *methods: str) -> None:
    end = time.monotonic() + 60
    while (sandbox.count(*methods) if methods else sandbox.writes) < number:
        assert process.poll() is None, f"the task ended before it was to be stopped: {process.communicate()[0]}"
        assert time.monotonic() < end, "the task wrote nothing for a minute"
        time.sleep(0.01)


def assert_exact(sandbox, group: str) -> None:
    held = sandbox.contacts(group)
    assert {c["mobile"]: c["name"] for c in held} == {f"346{i:08d}": f"Ana {i}" for i in range(ROWS)}
    assert max(Counter(c["mobile"] for c in held).values()) == 1


def heal(sandbox, group: str, start: Callable[..., subprocess.Popen[str]]) -> None:
    sandbox.clear_faults()
    again = start()
    assert "ended: success" in again.communicate(timeout=120)[0]
    assert_exact(sandbox, group)


def test_marked_failed_by_a_user_stops_writing_within_four_seconds(sandbox, group, start) -> None:
    process = start()
    wait_for_writes(sandbox, 60, process)
    told = time.monotonic()
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=30)[0]
    assert time.monotonic() - told < STOPS_WITHIN + 1
    assert "ended: " in output
    assert "success" not in output
    time.sleep(1)
    assert max(call.at for call in sandbox.calls) - told < STOPS_WITHIN
    heal(sandbox, group, start)


def test_past_its_execution_timeout_stops_writing_within_four_seconds(sandbox, group, start) -> None:
    timeout = 4.0
    process = start(execution_timeout=timeout)
    assert process.stdout is not None
    assert "begins\n" in iter(process.stdout.readline, "")
    # A little before the task's own clock starts, so the bound below is a little too strict.
    begun = time.monotonic()
    output = process.communicate(timeout=60)[0]
    assert sandbox.writes > 10
    assert "ended: " in output
    assert "AirflowTaskTimeout" in output
    assert "success" not in output
    time.sleep(1)
    assert max(call.at for call in sandbox.calls) < begun + timeout + STOPS_WITHIN
    heal(sandbox, group, start)


def test_stopped_while_the_server_does_not_answer(sandbox, group, start) -> None:
    """A call under way is cut off after a grace, so that the end does not wait for the server."""
    process = start()
    wait_for_writes(sandbox, 20, process)
    sandbox.fail("latency", seconds=30)
    time.sleep(0.5)
    told = time.monotonic()
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=30)[0]
    assert time.monotonic() - told < STOPS_WITHIN + 1
    assert "success" not in output


def test_a_task_whose_supervisor_was_killed_stops_writing_within_four_seconds(sandbox, group, tmp_path) -> None:
    """Nobody tells the task: it has to see by itself that it is left alone."""
    task = json.dumps({"group_id": group, "max_deletes": 1.0, "settle": 1})
    output = tmp_path / "output"
    # The shell stands for the supervisor; the second command keeps it from becoming the task itself.
    line = f'"$0" "$1" "$2" > {output} 2>&1; true'
    supervisor = subprocess.Popen(
        ["sh", "-c", line, sys.executable, str(HERE / "task_process.py"), task], env=environment()
    )
    wait_for_writes(sandbox, 60, supervisor)
    told = time.monotonic()
    supervisor.kill()
    supervisor.wait()
    end = told + 30
    while "ended: " not in output.read_text():
        assert time.monotonic() < end
        time.sleep(0.1)
    assert "AfilnetStoppedError" in output.read_text()
    assert "success" not in output.read_text()
    assert max(call.at for call in sandbox.calls) - told < STOPS_WITHIN
