"""The bars: what the refresh must not fall behind, each a ratio of two things that were measured in one run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from benchmarks.engine_runs import LIMIT
from benchmarks.results import Engine, Results, Sized
from benchmarks.session import PHASES
from benchmarks.tools import TOOLS

_MB_PER_MIB: Final = 1.048576
_FIRST_LOAD, _CHURN, _NO_CHANGE = PHASES
_PEERS: Final = tuple(tool.name for tool in TOOLS if tool.peer)


@dataclass(frozen=True)
class Bar:
    """One bar. ``value``: what was measured, ``None`` where it was not; ``limit``: what it may be at most, or with
    ``at_least`` at least; ``also``: another condition that must hold."""

    name: str
    value: float | None
    limit: float
    unit: str = "x"
    at_least: bool = False
    strictly: bool = False
    also: bool = True

    @property
    def met(self) -> bool | None:
        """Whether it is met; ``None`` where nothing was measured."""
        if self.value is None:
            return None
        if self.value == self.limit:
            return self.also and not self.strictly
        return self.also and (self.value > self.limit) == self.at_least

    @property
    def allowed(self) -> str:
        """The limit in words."""
        word = "at least" if self.at_least else "less than" if self.strictly else "at most"
        return f"{word} {self.limit:g} {self.unit}"


def bars(results: Results) -> list[Bar]:
    """Every bar, for the largest number of rows."""
    sized = results.sizes[max(results.sizes)] if results.sizes else None
    return [*(_of_size(sized, results) if sized else ()), *_of_engine(results.engine)]


def fastest_peer(sized: Sized, phase: str) -> tuple[str, float] | None:
    """The peer that pushed all the rows in the fewest seconds, and these."""
    took = [
        (seconds, peer)
        for peer in _PEERS
        if (seconds := sized.seconds(peer, phase)) is not None and sized.of(peer, phase)[0].rows == sized.rows
    ]
    return (min(took)[1], min(took)[0]) if took else None


def _of_size(sized: Sized, results: Results) -> list[Bar]:
    rows = f"{sized.rows:,} contacts"
    group, query = sized.floor("read group"), sized.floor("read query")
    ours = {phase: sized.seconds("ours", phase) for phase in PHASES}
    peak, bare = sized.peak_mib("ours"), sized.floor_mib("import")
    return [
        Bar(
            f"{rows}, no change: seconds against a bare ijson read of the group and a bare read of the query",
            _ratio(ours[_NO_CHANGE], group + query if group is not None and query is not None else None),
            2.5,
            also=sized.exact("ours", _NO_CHANGE),
        ),
        Bar(
            f"{rows}: peak memory above the bare import of the operator, in any phase",
            None if peak is None or bare is None else (peak - bare) * _MB_PER_MIB,
            150,
            "MB",
        ),
        _flat(sized, results),
        Bar(
            f"{rows}, 1 % churn, exact: seconds against the fastest peer's push ({_named(sized, _CHURN)})",
            _ratio(ours[_CHURN], _fastest(sized, _CHURN)),
            1,
            strictly=True,
            also=sized.exact("ours", _CHURN),
        ),
        Bar(
            f"{rows}, first load with the read that verifies it: seconds against the fastest peer's push "
            f"({_named(sized, _FIRST_LOAD)})",
            _ratio(ours[_FIRST_LOAD], _fastest(sized, _FIRST_LOAD)),
            1.5,
            also=sized.exact("ours", _FIRST_LOAD),
        ),
    ]


def _flat(sized: Sized, results: Results) -> Bar:
    """Memory against the run of a tenth of the rows, if that was the same run."""
    few = results.sizes.get(sized.rows // 10)
    same = few is not None and few.stamp == sized.stamp
    return Bar(
        f"peak memory of {sized.rows:,} contacts against {sized.rows // 10:,}",
        _ratio(sized.peak_mib("ours"), few.peak_mib("ours") if few and same else None),
        1.15,
    )


def _of_engine(engine: Engine | None) -> list[Bar]:
    found = engine.found if engine else {}
    single, normalise = found.get("single calls", {}), found.get("normalise", {})
    rows, seconds = normalise.get("rows"), normalise.get("seconds")
    of_limits = []
    for burst in (50, 10):
        limited = found.get(f"limited, burst {burst}", {})
        calls, took = limited.get("calls"), limited.get("seconds")
        server = f"a server limited to {LIMIT} requests/s, bursts of {burst}"
        refused = _ratio(limited.get("refused"), limited.get("requests"))
        of_limits += [
            Bar(
                f"{server}: what is used of the limit",
                _ratio(calls, took * LIMIT if took else None),
                0.9,
                at_least=True,
            ),
            Bar(f"{server}: refused calls", None if refused is None else refused * 100, 2, "%", strictly=True),
        ]
    return [
        Bar(
            "750 single calls, 20 ms latency, 16 connections: rate against a bare aiohttp loop",
            _ratio(single.get("bare_seconds"), single.get("seconds")),
            0.9,
            at_least=True,
        ),
        Bar(
            "normalise and validate a canonical row, time of the processor",
            None if rows is None or seconds is None else seconds / rows * 1e6,
            6,
            "µs",
        ),
        *of_limits,
    ]


def _ratio(value: float | None, other: float | None) -> float | None:
    return None if value is None or not other else value / other


def _fastest(sized: Sized, phase: str) -> float | None:
    found = fastest_peer(sized, phase)
    return found[1] if found else None


def _named(sized: Sized, phase: str) -> str:
    found = fastest_peer(sized, phase)
    return found[0] if found else "none was run"
