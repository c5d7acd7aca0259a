"""A refresh that is ended from outside, under Airflow's real supervisor: red, silent within 4 s, and healed by the next
try.
"""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psutil
import pytest
from airflow_pages import DIALOG, labelled
from shop import SLOW_ROWS, World

STOPS_WITHIN = 4.0


LATENCY = 0.1


@dataclass
class Refresh:
    """A refresh under way, of a group that differs a lot from the query."""

    world: World
    dag_id: str
    run_id: str
    group_id: str

    @property
    def task(self) -> dict[str, Any]:
        return self.world.airflow.tasks(self.dag_id, self.run_id)["refresh"]

    def wait_for_writes(self, number: int) -> None:
        self.world.airflow.wait(lambda: self.world.slow.writes >= number, f"{number} writes")

    def wait_for_state(self, state: str) -> None:
        self.world.airflow.wait(lambda: self.task["state"] == state, f"the task to be {state}")

    def logged_at(self, words: str) -> float | None:
        """The wall clock's moment at which the first try logged a line with these words."""
        where = f"/dags/{self.dag_id}/dagRuns/{self.run_id}/taskInstances/refresh/logs/1"
        lines = self.world.airflow.call("GET", where, full_content=True)["content"]
        found = [line for line in lines if words in str(line.get("event"))]
        return datetime.fromisoformat(found[0]["timestamp"]).timestamp() if found else None

    @property
    def process(self) -> psutil.Process:
        """The process of the task; its parent is Airflow's supervisor."""
        return psutil.Process(self.task["pid"])

    def assert_silent(self, since: float) -> None:
        """No call comes later than 4 s after ``since``, a moment of the monotonic clock."""
        time.sleep(max(0.0, since + STOPS_WITHIN + 2 - time.monotonic()))
        assert max(call.at for call in self.world.slow.calls) - since < STOPS_WITHIN

    def assert_heals(self) -> None:
        """The next try, of a server that is quick again, leaves the group equal to the query."""
        self.world.slow.clear_faults()
        self.wait_for_state("success")
        assert self.task["try_number"] == 2
        held = self.world.slow.contacts(self.group_id)
        assert {c["mobile"]: c["name"] for c in held} == {f"346{i:08d}": f"Ana {i}" for i in range(SLOW_ROWS)}
        assert max(Counter(c["mobile"] for c in held).values()) == 1


@pytest.fixture
def start(world: World) -> Callable[[str], Refresh]:
    """Start a refresh of a new group that takes a quarter of a minute at least, and answer it in the middle."""

    def run(dag_id: str) -> Refresh:
        world.slow.reset()
        world.slow.clear_calls()
        old = [{"mobile": f"346{i:08d}", "name": "Old" if i % 4 == 0 else f"Ana {i}"} for i in range(0, SLOW_ROWS, 2)]
        gone = [{"mobile": f"347{i:08d}", "name": "Gone"} for i in range(300)]
        group_id = world.slow.create_group("g", "mobile", ["mobile", "name"], contacts=old + gone)
        world.slow.fail("latency", seconds=LATENCY)
        world.airflow.unpause(dag_id)
        refresh = Refresh(world, dag_id, world.airflow.trigger(dag_id, group_id=group_id), group_id)
        refresh.wait_for_writes(60)
        return refresh

    return run


def test_past_its_execution_timeout(world, start) -> None:
    refresh = start("timed_refresh")
    # The task's clock began a little before its first call.
    due = min(call.at for call in world.slow.calls) + 12
    refresh.wait_for_state("up_for_retry")
    refresh.assert_silent(since=due)
    assert "AirflowTaskTimeout" in world.airflow.task_log("timed_refresh", refresh.run_id, "refresh", 1)
    refresh.assert_heals()


def test_a_worker_that_is_told_to_stop(start) -> None:
    """Airflow's supervisor is sent SIGTERM, as a worker does that shuts down."""
    refresh = start("slow_refresh")
    told = time.monotonic()
    refresh.process.parent().send_signal(signal.SIGTERM)
    refresh.wait_for_state("up_for_retry")
    refresh.assert_silent(since=told)
    refresh.assert_heals()


def test_a_worker_that_is_killed(start) -> None:
    """The supervisor is gone without a word, so nobody tells the task."""
    refresh = start("slow_refresh")
    told = time.monotonic()
    refresh.process.parent().send_signal(signal.SIGKILL)
    refresh.assert_silent(since=told)
    refresh.assert_heals()


def test_marked_failed_in_the_web_interface(world, start, pages) -> None:
    """Airflow's supervisor learns of it at its next heartbeat, and from then on the seconds count."""
    refresh = start("slow_refresh")
    pages.open("dags", "slow_refresh", "runs", refresh.run_id, "tasks", "refresh")
    pages.click(labelled("Mark Task Instance as..."))
    pages.click("//*[@role='menuitem' and normalize-space()='Failed']")
    pages.click(f"{DIALOG}//button[normalize-space()='Confirm']")
    told = world.airflow.wait(lambda: refresh.logged_at("Terminating process"), "the supervisor to end the task")
    time.sleep(STOPS_WITHIN + 2)
    assert max(call.time for call in world.slow.calls) - told < STOPS_WITHIN
    assert refresh.task["state"] == "failed"
    again = {"dry_run": False, "dag_run_id": refresh.run_id, "task_ids": ["refresh"], "only_failed": True}
    world.airflow.call("POST", "/dags/slow_refresh/clearTaskInstances", again)
    refresh.assert_heals()
