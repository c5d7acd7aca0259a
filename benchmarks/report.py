"""``RESULTS.md``: what was measured, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from benchmarks.bars import Bar, bars
from benchmarks.engine_runs import LIMIT
from benchmarks.results import Engine, Results, Sized, Stamp
from benchmarks.session import PHASES, Measurement
from benchmarks.tools import TOOLS

_TITLES = {tool.name: tool.title for tool in TOOLS}
_HEAD = """# Results

Written by `python -m benchmarks.run` from [results.json](results.json); what is measured and how is told in
[README.md](README.md). Times are worth comparing within one run only.

![Seconds of each tool and what is wrong with its group afterwards](results.svg)
"""
_COLUMNS = (
    "tool",
    "rows",
    "seconds",
    "contacts/s",
    "CPU s",
    "peak MiB",
    "requests",
    "answered with an error",
    "errors told",
    "missing",
    "stale",
    "wrong",
    "doubled",
)


def report(results: Results) -> str:
    """The whole file."""
    parts = [_HEAD, "## Bars\n", *_bars(bars(results))]
    for rows in sorted(results.sizes, reverse=True):
        parts += _size(results.sizes[rows])
    if results.engine:
        parts += _engine(results.engine)
    return "\n".join(parts).rstrip() + "\n"


def verdict(bar: Bar) -> str:
    """Whether a bar is met, in a word."""
    return {None: "not measured", True: "met", False: "**missed**"}[bar.met]


def measured(bar: Bar) -> str:
    """What a bar measures, with its unit."""
    return "-" if bar.value is None else f"{bar.value:.2f} {bar.unit}"


def _bars(found: Sequence[Bar]) -> list[str]:
    rows = [(bar.name, measured(bar), bar.allowed, verdict(bar)) for bar in found]
    return [_table(("bar", "measured", "wanted", ""), rows)]


def _size(sized: Sized) -> list[str]:
    parts = [f"## {sized.rows:,} contacts\n", _stamp(sized.stamp)]
    for phase in PHASES:
        rows = [_row(sized.of(tool, phase)) for tool in sized.tools()]
        parts += [f"### {phase[0].upper()}{phase[1:]}\n", _table(_COLUMNS, rows)]
    if names := list(dict.fromkeys(floor.floor for floor in sized.floors)):
        floors = [
            (name, f"{sized.floor(name):.2f}", f"{sized.floor_mib(name):.0f}")
            for name in names
            if sized.floor(name) is not None
        ]
        parts += ["### Floors\n", _table(("floor", "seconds", "peak MiB"), floors)]
    return parts


def _row(done: Sequence[Measurement]) -> tuple[str, ...]:
    """A line of the table: medians, and of what is wrong the worst."""
    seconds = [one.seconds for one in done]
    typical = median(seconds)
    spread = f" ({min(seconds):.1f} to {max(seconds):.1f})" if len(seconds) > 1 else ""
    errors = [one.errors for one in done if one.errors is not None]
    failed = next((one.status for one in done if one.status), 0)
    return (
        _TITLES[done[0].tool] + (f" (ended with status {failed})" if failed else ""),
        f"{done[0].rows:,}",
        f"{typical:.1f}{spread}",
        f"{done[0].rows / typical:,.0f}",
        f"{median(one.cpu_seconds for one in done):.1f}",
        f"{max(one.peak_mib for one in done):.0f}",
        f"{max(one.requests for one in done):,}",
        f"{max(one.refused for one in done):,}",
        f"{max(errors):,}" if errors else "-",
        *(f"{max(getattr(one, name) for one in done):,}" for name in ("missing", "stale", "wrong", "doubled")),
    )


def _engine(engine: Engine) -> list[str]:
    found = engine.found
    single, normalise = found["single calls"], found["normalise"]
    lines = [
        f"- {single['calls']:,.0f} updates, 20 ms latency, 16 connections: {single['seconds']:.2f} s; a bare aiohttp "
        f"loop with the same bytes: {single['bare_seconds']:.2f} s.",
        f"- Normalise and validate {normalise['rows']:,.0f} rows: {_per_row(normalise, 'seconds')} µs of the processor "
        f"a row; with keeping them for the comparison {_per_row(normalise, 'with_keeping_seconds')} µs.",
    ]
    for burst in (50, 10):
        limited = found[f"limited, burst {burst}"]
        lines.append(
            f"- {limited['calls']:,.0f} updates at a server limited to {LIMIT} requests/s with bursts of {burst}: "
            f"{limited['seconds']:.1f} s, {limited['refused']:,.0f} of {limited['requests']:,.0f} calls refused."
        )
    return ["## The engine alone\n", _stamp(engine.stamp), *lines]


def _per_row(normalise: dict[str, float], name: str) -> str:
    return f"{normalise[name] / normalise['rows'] * 1e6:.1f}"


def _stamp(stamp: Stamp) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in stamp.versions.items())
    return f"{stamp.date}; {stamp.machine}; {versions}.\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
