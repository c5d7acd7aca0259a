"""Told to stop, by whatever: no write arrives later than 4 s, ``run`` raises, and the next run carries on."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from refresh_world import World, bag, people, person, phone

from airflow_provider_afilnet.refresh.engine import Refresh
from airflow_provider_afilnet.refresh.errors import AfilnetStoppedError
from airflow_provider_afilnet.refresh.rows import DictRows, TableRows

AT_MOST = 4.0


class _TaskTimeout(BaseException):
    """As Airflow's: raised in the main thread, and no Exception."""


def _alarm(*_: object) -> None:
    raise _TaskTimeout("time is up")


@pytest.fixture
def alarm() -> Iterator[Any]:
    """``alarm(seconds)`` raises a BaseException in the main thread."""
    before = signal.signal(signal.SIGALRM, _alarm)
    yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def _writes(world: World) -> list[float]:
    return [c.at for c in world.sandbox.calls if c.method.startswith(("add", "modify", "delete"))]


STAGES = [
    ("addcontactlist", 0.4),
    ("addcontact", 0.4),
    ("modifycontact", 0.4),
    ("deletecontact", 0.4),
    ("getcontacts", 0.8),
    ("getcontact", 0.8),
    ("getgroupcolumns", 0.8),
    ("addcontactlist", 60.0),
    ("getcontacts", 60.0),
]


def _make(world: World) -> list[dict[str, str]]:
    world.make(people(*range(60)))
    return [*people(*range(50), name="New"), *people(*range(100, 140))]


@pytest.mark.parametrize(("method", "seconds"), STAGES)
@pytest.mark.parametrize("how", ["stop", "alarm"])
def test_stopped_in_any_stage(world: World, alarm: Any, how: str, method: str, seconds: float) -> None:
    """Each call of the stage takes ``seconds``, short or for ever; the stop comes in the middle of it."""
    rows = _make(world)
    world.sandbox.fail("latency", methods=method, seconds=seconds)
    refresh = world.refresh({"timeout": 100, "max_connections": 2}, mode="mirror", max_deletes=10, batch_size=5)
    told: list[float] = []

    def tell() -> None:
        told.append(time.monotonic())
        refresh.stop()

    if how == "stop":
        threading.Timer(0.5, tell).start()
        with pytest.raises(AfilnetStoppedError):
            refresh.run(DictRows(rows))
    else:
        alarm(0.5)
        start = time.monotonic()
        with pytest.raises(_TaskTimeout, match="time is up"):
            refresh.run(DictRows(rows))
        told.append(start + 0.5)
    ended = time.monotonic()
    assert ended - told[0] < AT_MOST
    arrived = len(world.sandbox.calls)
    soon = 1.0 if seconds < 1 else AT_MOST
    assert all(at < told[0] + soon for at in _writes(world))
    time.sleep(0.3)
    assert len(world.sandbox.calls) == arrived, "nothing goes on in the background"
    assert not [thread for thread in threading.enumerate() if thread.name == "afilnet-refresh" and thread.is_alive()]
    world.sandbox.clear_faults()
    time.sleep(0.5 if seconds < 1 else 0)
    world.run(rows, mode="mirror", max_deletes=10)
    assert world.now() == bag(rows)


def test_a_stop_while_the_last_read_is_under_way_is_no_success(world: World) -> None:
    """All is written and the answer is right, but Airflow would take a normal return for success after a kill."""
    rows = _make(world)
    world.sandbox.fail("latency", methods="getcontacts", seconds=0.6, after=1)
    refresh = world.refresh(mode="mirror", max_deletes=10)
    stopper = world.when("getcontacts", refresh.stop, 2, later=0.2)
    with pytest.raises(AfilnetStoppedError):
        refresh.run(DictRows(rows))
    stopper.join()
    assert world.now() == bag(rows)


@pytest.mark.parametrize("phase", ["spooling", "suppressing"])
def test_stopped_while_rows_are_read(world: World, phase: str) -> None:
    """A slow source: the stop is seen at its next row."""
    refresh = world.refresh()

    def slow() -> Iterator[tuple[str, ...]]:
        for n in range(1000):
            if n == 3:
                refresh.stop()
            time.sleep(0.01)
            yield (phone(n), "A", "B")

    start = time.monotonic()
    rows: Any = TableRows(world.columns, slow()) if phase == "spooling" else DictRows(people(1))
    with pytest.raises(AfilnetStoppedError):
        refresh.run(rows, suppress=lambda: (row[0] for row in slow()))
    assert time.monotonic() - start < AT_MOST
    assert world.sandbox.writes == 0


def test_stopped_before_it_began(world: World) -> None:
    refresh = world.refresh()
    refresh.stop()
    with pytest.raises(AfilnetStoppedError):
        refresh.run(DictRows(people(1)))
    assert world.sandbox.calls == []


def test_stopped_during_a_pause_that_the_server_asked_for(world: World) -> None:
    rows = _make(world)
    world.sandbox.fail("rate_limited", methods=["modifycontact"], retry_after=100)
    refresh = world.refresh(mode="upsert")
    threading.Timer(0.5, refresh.stop).start()
    start = time.monotonic()
    with pytest.raises(AfilnetStoppedError):
        refresh.run(DictRows(rows))
    assert time.monotonic() - start < 0.5 + AT_MOST


@pytest.mark.parametrize("delay", [0.0, 0.03, 0.1, 0.25])
def test_a_replacement_under_way_is_brought_to_its_end(world: World, delay: float) -> None:
    """Who was deleted to be added anew is added, although the stop came in between; no other is begun."""
    world.make(people(*range(40)))
    rows = people(*range(40), name="a, b")
    world.sandbox.fail("latency", methods="deletecontact", seconds=0.15)
    refresh = world.refresh({"max_connections": 3}, unsafe_values="replace", max_deletes=1.0)
    stopper = world.when("deletecontact", refresh.stop, 4, later=delay)
    with pytest.raises(AfilnetStoppedError):
        refresh.run(DictRows(rows))
    stopper.join()
    assert len(world.stored()) == 40, "nobody is away"
    assert 3 <= sum(contact["name"] == "a, b" for contact in world.stored()) < 15


def test_a_replacement_is_brought_to_its_end_although_the_server_asked_for_a_pause(world: World) -> None:
    world.make(people(*range(20)))
    world.sandbox.fail("rate_limited", methods="addcontactlist", count=1, retry_after=60)
    refresh = world.refresh({"max_connections": 1}, unsafe_values="replace", max_deletes=1.0)
    world.when("addcontactlist", refresh.stop, 1, later=0.2)
    with pytest.raises(AfilnetStoppedError):
        refresh.run(DictRows([person(3, name="a, b")]))
    assert len(world.stored()) == 20


def test_a_second_interrupt_does_not_lose_the_first(world: World, alarm: Any) -> None:
    rows = _make(world)
    world.sandbox.fail("latency", methods="modifycontact", seconds=30)
    refresh = world.refresh({"timeout": 100}, mode="upsert")
    alarm(0.5)
    threading.Timer(0.7, refresh.stop).start()
    start = time.monotonic()
    with pytest.raises(_TaskTimeout):
        refresh.run(DictRows(rows))
    assert time.monotonic() - start < 0.5 + AT_MOST


def _stop_when_all_was_read(world: World, refresh: Refresh, reads: int) -> list[float]:
    told: list[float] = []

    def stop() -> None:
        told.append(time.monotonic())
        refresh.stop()

    world.when("getcontacts", stop, reads, later=0.6)
    return told


def test_stopped_while_keys_are_read_and_the_plan_is_made(world: World) -> None:
    """Nothing waits for the server then: 150,000 national numbers, each parsed, take longer than the stop may."""
    world.make([{"mobile": f"6{n:08d}", "name": "x"} for n in range(150000)])
    refresh = world.refresh(mode="mirror", max_deletes=1.0, default_region="ES", bare_numbers="national")
    told = _stop_when_all_was_read(world, refresh, 1)
    with pytest.raises(AfilnetStoppedError):
        refresh.run(DictRows(people(1)))
    assert time.monotonic() - told[0] < AT_MOST
    assert world.sandbox.writes == 0
