"""A long refresh says how far it is: rows, contacts, planned, done, calls per second, time left; and about nobody."""

from __future__ import annotations

import itertools
import logging
import re
import time
from collections.abc import Iterator

import pytest
from refresh_world import World, people, person, phone

from airflow_provider_afilnet.refresh import progress as module
from airflow_provider_afilnet.refresh.pace import Pace, StopFlag
from airflow_provider_afilnet.refresh.progress import Progress
from airflow_provider_afilnet.refresh.rows import TableRows

EVERY = 0.3
LINE = re.compile(
    r"Refresh of group \d+: (\d+) rows and (\d+) contacts read"
    r"(?:, (\d+) writes planned, (\d+) done)?, (\d+\.\d) calls/s(?:, (\d+) s left)?\."
)


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[list[logging.LogRecord]]:
    """Progress lines, which may come every 0.3 s here."""
    monkeypatch.setattr(module, "SECONDS", EVERY)
    caplog.set_level(logging.INFO, logger=module.__name__)
    found: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = lambda record: found.append(record) if record.name == module.__name__ else None  # type: ignore[method-assign]
    logger = logging.getLogger(module.__name__)
    logger.addHandler(handler)
    yield found
    logger.removeHandler(handler)


def _numbers(record: logging.LogRecord) -> list[int | None]:
    found = LINE.fullmatch(record.getMessage())
    assert found, record.getMessage()
    return [None if text is None else int(float(text)) for text in found.groups()]


def test_a_line_comes_every_ten_seconds(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other tests make it tell more often, to be done sooner."""
    caplog.set_level(logging.INFO, logger=module.__name__)
    clock = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    progress = Progress("7", Pace(0, StopFlag()))
    told = []
    for clock[0] in (109.9, 110.0, 119.9, 120.0, 140.0, 149.9):
        progress.tick()
        told.append(len(caplog.records))
    assert told == [0, 1, 1, 2, 3, 3]


def test_it_tells_each_phase_and_not_too_often(world: World, lines: list[logging.LogRecord]) -> None:
    world.make(people(*range(40)))
    world.sandbox.fail("latency", methods="getcontacts", seconds=0.8)
    world.sandbox.fail("latency", methods="modifycontact", seconds=0.1)

    def slow() -> Iterator[tuple[str, str, str]]:
        for n in range(40):
            time.sleep(0.02)
            yield (phone(n), f"New {n}", f"City {n % 7}")

    world.run(TableRows(world.columns, slow()), settings={"max_connections": 2})
    ended = time.time()
    told = [_numbers(record) for record in lines]
    assert all(later.created - sooner.created > EVERY * 0.9 for sooner, later in itertools.pairwise(lines)), (
        "not more often than it should"
    )
    reading, writing = [line for line in told if line[2] is None], [line for line in told if line[2] is not None]
    assert 0 < reading[0][0] < 40, "while rows are read"  # type: ignore[operator]
    assert reading[-1][0] == 40, "while the group is read"
    assert len(writing) >= 3
    assert {(line[0], line[1], line[2]) for line in writing} == {(40, 40, 40)}
    under_way = [line for line in writing if 0 < line[3] < 40]  # type: ignore[operator]
    done = [line[3] for line in under_way]
    assert done == sorted(done)
    assert len(done) >= 2
    # Two connections, and each call takes 0.1 s at least; it counts when it begins, so one more may fall into a line.
    most = 2 * (EVERY / 0.1 + 1) / EVERY
    assert all(0 < line[4] <= most for line in under_way)  # type: ignore[operator]
    for record, line in zip(lines, told, strict=True):
        if line in under_way:
            left = ended - record.created
            assert line[5] is not None
            assert line[5] <= 3 * left + 1, "the estimate has to do with what is really left"


def test_a_server_that_does_not_answer_does_not_silence_it(world: World, lines: list[logging.LogRecord]) -> None:
    world.make(people(*range(5)))
    world.sandbox.fail("latency", methods="getcontacts", seconds=1.5, count=1)
    world.run(people(*range(5)))
    assert len(lines) >= 3


def test_a_short_refresh_says_nothing_of_it(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    world.make(people(*range(5)))
    world.run([*people(*range(4)), person(9)])
    assert "rows and" not in caplog.text
    assert "1 to add" in caplog.text, "the plan is told all the same"


def test_the_estimate_follows_the_round() -> None:
    shown = Progress("5", Pace(0, StopFlag()))
    shown.begin_round(100)
    shown.done = 25
    shown.begin_round(10)
    assert (shown.planned, shown.done) == (10, 0)
