"""The bars' arithmetic: which ratio, of what, and when it is met."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.bars import Bar, bars, fastest_peer
from benchmarks.chart import chart
from benchmarks.report import report
from benchmarks.results import Engine, Results, Sized, Stamp
from benchmarks.session import PHASES, Floor, Measurement

STAMP = Stamp("2026-11-22 05:00 UTC", "a machine", {"Python": "3.11"})
FIRST, CHURN, SAME = PHASES


def done(tool: str, phase: str, seconds: float, *, rows: int = 1_000, peak: float = 150.0, **more: int) -> Measurement:
    usual: dict[str, Any] = {"requests": 2, "refused": 0, "errors": 0, "status": 0}
    differences = {"missing": 0, "stale": 0, "wrong": 0, "doubled": 0}
    return Measurement(tool, phase, rows, seconds, seconds + 2, seconds, peak, **{**usual, **differences, **more})


def sized(*measurements: Measurement, rows: int = 1_000, stamp: Stamp = STAMP) -> Sized:
    floors = [
        Floor("import", 1.0, 1.0, 100.0),
        *(Floor("read group", seconds, 1.0, 30.0) for seconds in (2.0, 4.0, 3.0)),
        Floor("read query", 1.0, 1.0, 20.0),
    ]
    return Sized(stamp, rows, list(measurements), floors)


def usual(rows: int = 1_000, peak: float = 150.0) -> list[Measurement]:
    found = []
    for phase, seconds in zip(PHASES, (15, 9, 8), strict=True):
        found.append(done("ours", phase, seconds, rows=rows, peak=peak))
        found += [done("airbyte", phase, 10, rows=rows, doubled=5), done("dlt", phase, 20, rows=rows, doubled=5)]
        # Given fewer rows, so it is not compared although it took less.
        found.append(done("http-hook", phase, 1, rows=rows // 10))
    return found


def bar(results: Results, word: str) -> Bar:
    (found,) = [one for one in bars(results) if word in one.name]
    return found


def of(*measurements: Measurement) -> Results:
    return Results({1_000: sized(*measurements)})


def test_ratios_of_the_refresh() -> None:
    results = of(*usual())
    assert bar(results, "no change").value == 8 / (3 + 1)
    assert bar(results, "churn").value == 0.9
    assert bar(results, "first load").value == 1.5
    assert bar(results, "bare import").value == pytest.approx(50 * 1.048576)
    assert {one.met for one in bars(results) if "1,000 contacts" in one.name} == {True, None}


def test_the_fastest_peer_pushed_all_the_rows_and_ended_well() -> None:
    assert fastest_peer(sized(*usual()), CHURN) == ("airbyte", 10)
    failing = [done("drt", phase, 2, status=1) for phase in PHASES]
    assert fastest_peer(sized(*usual(), *failing), CHURN) == ("airbyte", 10)
    assert fastest_peer(sized(done("ours", CHURN, 1)), CHURN) is None


@pytest.mark.parametrize(("phase", "word"), [(FIRST, "first load"), (CHURN, "churn"), (SAME, "no change")])
def test_speed_counts_only_where_the_group_is_exact(phase: str, word: str) -> None:
    others = [one for one in usual() if (one.tool, one.phase) != ("ours", phase)]
    assert bar(of(*others, done("ours", phase, 1)), word).met is True
    assert bar(of(*others, done("ours", phase, 1, stale=1)), word).met is False


def test_a_run_that_was_repeated_counts_by_its_median_and_its_worst() -> None:
    again = [done("ours", CHURN, 30.0), done("ours", CHURN, 8.0, missing=1)]
    found = bar(of(*usual(), *again), "churn")
    assert (found.value, found.met) == (0.9, False)


def test_memory_is_flat_only_within_one_run() -> None:
    large = sized(*usual(10_000, 172.0), rows=10_000)
    flat = Results({1_000: sized(*usual()), 10_000: large})
    assert bar(flat, "peak memory of 10,000").value == pytest.approx(172 / 150)
    assert bar(flat, "peak memory of 10,000").met is True
    other = Stamp("another day", "a machine", {})
    assert bar(Results({1_000: sized(*usual(), stamp=other), 10_000: large}), "peak memory of").met is None


ENGINE = {
    "normalise": {"rows": 1_000, "seconds": 0.005, "with_keeping_seconds": 0.009},
    "single calls": {"calls": 750, "seconds": 1.0, "bare_seconds": 0.9},
    "limited, burst 50": {"calls": 1_500, "seconds": 31.0, "requests": 1_510, "refused": 10},
    "limited, burst 10": {"calls": 1_500, "seconds": 60.0, "requests": 1_600, "refused": 100},
}


def test_ratios_of_the_engine() -> None:
    found = bars(Results({}, Engine(STAMP, ENGINE)))
    assert [(round(one.value or 0, 3), one.met) for one in found] == [
        (0.9, True),
        (5.0, True),
        (0.968, True),
        (0.662, True),
        (0.5, False),
        (6.25, False),
    ]


@pytest.mark.parametrize(
    ("value", "at_least", "strictly", "met"),
    [
        (0.9, True, False, True),
        (0.89, True, False, False),
        (0.9, False, False, True),
        (0.91, False, False, False),
        (0.9, False, True, False),
        (0.89, False, True, True),
        (None, False, False, None),
    ],
)
def test_a_limit_itself_is_met_unless_it_must_be_beaten(
    value: float | None, at_least: bool, strictly: bool, met: bool | None
) -> None:
    assert Bar("b", value, 0.9, at_least=at_least, strictly=strictly).met is met


def test_nothing_measured_is_never_met() -> None:
    assert [one.met for one in bars(of())] == [None] * 11


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    assert Results.read(path) == Results()
    written = Results({1_000: sized(*usual())}, Engine(STAMP, ENGINE))
    written.write(path)
    assert Results.read(path) == written


def test_the_report_and_the_chart_tell_what_is_wrong_and_what_was_left_out() -> None:
    results = Results(
        {1_000: sized(*usual(), *(done("drt", phase, 3, status=7) for phase in PHASES))}, Engine(STAMP, ENGINE)
    )
    text = report(results)
    assert "| airbyte-cdk | 1,000 | 10.0 | 100 | 10.0 | 150 | 2 | 0 | 0 | 0 | 0 | 0 | 5 |" in text
    assert "drt-core (ended with status 7)" in text
    assert "**missed**" in text
    picture = chart(results.sizes[1_000])
    assert picture.count(">exact<") == 3
    assert picture.count(">5 doubled<") == 6
    assert "fewer rows: HttpHook" in picture
    assert "drt-core" not in picture
