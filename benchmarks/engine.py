"""The refresh's engine under a glass: its single calls beside a bare loop, its pace at a limit, its work on a row.

Run as ``python -m benchmarks.engine JOB WHAT``. Timed are methods of the engine inside whole refreshes, so that what is
measured is what a task does.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any, Final
from urllib.parse import urlencode

from airflow_provider_afilnet.api.settings import ClientSettings
from airflow_provider_afilnet.refresh.apply import Applier
from airflow_provider_afilnet.refresh.engine import Refresh
from airflow_provider_afilnet.refresh.normalise import KeyReader
from airflow_provider_afilnet.refresh.options import RefreshOptions
from airflow_provider_afilnet.refresh.rows import TableRows
from airflow_provider_afilnet.refresh.source import GroupFields, Spooler
from airflow_provider_afilnet.refresh.store import Store
from benchmarks.floors import post_all
from benchmarks.job import Job
from benchmarks.rows import FIELDS, customers

SINGLE_CALLS: Final = 750
SINGLE_CONNECTIONS: Final = 16
LIMITED_CALLS: Final = 1_500
ROUNDS: Final = 3
_POINTS: Final = FIELDS.index("points")


def texts(rows: int, points: int | None = None) -> list[tuple[str, ...]]:
    """Rows of the query, made here; ``points``: another number of points for everybody."""
    made = (tuple(map(str, row[1:])) for row in customers(0, rows))
    return [row if points is None else (*row[:_POINTS], str(points), *row[_POINTS + 1 :]) for row in made]


@contextmanager
def timed(owner: type, name: str, clock: Callable[[], float] = time.perf_counter) -> Iterator[list[float]]:
    """Time the coroutine method or method ``name`` wherever it is called; yields the seconds of each call."""
    original = getattr(owner, name)
    took: list[float] = []

    def plain(*given: Any) -> Any:
        began = clock()
        try:
            return original(*given)
        finally:
            took.append(clock() - began)

    async def awaited(*given: Any) -> Any:
        began = clock()
        try:
            return await original(*given)
        finally:
            took.append(clock() - began)

    setattr(owner, name, awaited if asyncio.iscoroutinefunction(original) else plain)
    try:
        yield took
    finally:
        setattr(owner, name, original)


def refreshed(job: Job, rows: list[tuple[str, ...]], **settings: Any) -> float:
    """Refresh the group, all of whose contacts differ from ``rows``; answers the seconds that the updates took."""
    connection = ClientSettings(
        user=job.user, password=job.password, base_url=job.url, max_requests_per_second=0, **settings
    )
    refresh = Refresh(connection, job.group, RefreshOptions.read(mode="mirror"))
    with timed(Applier, "update_all") as took:
        result = refresh.run(TableRows(FIELDS, rows))
    if result.updated != len(rows) or not took:
        raise RuntimeError(f"{result.updated} of {len(rows)} contacts were updated, in {len(took)} timed rounds")
    return sum(took)


def update_bodies(job: Job, rows: list[tuple[str, ...]], first_id: int) -> list[bytes]:
    """The bodies of ``modifycontact`` for rows whose contacts have ids in order."""
    return [
        urlencode(
            job.form(
                "modifycontact",
                idcontact=str(number),
                contact=",".join(f"{name}:{value}" for name, value in zip(FIELDS, row, strict=True)),
            )
        ).encode()
        for number, row in enumerate(rows, first_id)
    ]


def single_calls(job: Job) -> dict[str, float]:
    """750 updates at the sandbox's latency over 16 connections, in turn by the engine and by a bare aiohttp loop."""
    first_id = int(sys.argv[3])
    ours, bare = [], []
    for number in range(ROUNDS):
        ours.append(refreshed(job, texts(SINGLE_CALLS, 20_000 + number), max_connections=SINGLE_CONNECTIONS))
        bodies = update_bodies(job, texts(SINGLE_CALLS, 30_000 + number), first_id)
        began = time.perf_counter()
        asyncio.run(post_all(job.address, iter(bodies), SINGLE_CONNECTIONS))
        bare.append(time.perf_counter() - began)
    return {"calls": SINGLE_CALLS, "seconds": median(ours), "bare_seconds": median(bare)}


def limited(job: Job) -> dict[str, float]:
    """1,500 updates at a server that refuses calls beyond its rate, with the default number of connections."""
    return {"calls": LIMITED_CALLS, "seconds": refreshed(job, texts(LIMITED_CALLS, 20_000))}


def normalise(job: Job, count: int = 100_000) -> dict[str, float]:
    """What the engine does with each row of a query before it is kept: read the key, check and write out the values.

    In seconds of the processor, since this is no work that waits.
    """
    rows = texts(count)
    whole, kept = [], []
    for _ in range(ROUNDS):
        store = Store()
        fields = GroupFields(FIELDS, None)
        spooler = Spooler(store, fields, KeyReader(fields.kind), RefreshOptions.read(), lambda: None)
        with timed(Spooler, "_flush", time.process_time) as keeping:
            began = time.process_time()
            counts = spooler.spool(TableRows(FIELDS, rows))
            whole.append(time.process_time() - began)
            kept.append(sum(keeping))
        store.close()
        if counts.rejected or counts.rows != len(rows):
            raise RuntimeError(f"{counts.rejected} of {counts.rows} rows were rejected")
    spared = [all_of_it - keeping for all_of_it, keeping in zip(whole, kept, strict=True)]
    return {"rows": len(rows), "seconds": median(spared), "with_keeping_seconds": median(whole)}


WORK: dict[str, Callable[[Job], dict[str, float]]] = {
    "single calls": single_calls,
    "limited": limited,
    "normalise": normalise,
}


if __name__ == "__main__":
    given = Job.given()
    given.answer_file.write_text(json.dumps(WORK[sys.argv[2]](given)))
