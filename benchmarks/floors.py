"""The least that the work can cost: sending the same bytes, reading the group, reading the query, and the import.

Run as ``python -m benchmarks.floors JOB FLOOR``.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from urllib.parse import urlencode

from benchmarks.job import Job
from benchmarks.rows import FIELDS, batches, read_sqlite

BATCH = 500
CONNECTIONS = 4
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def bodies(job: Job) -> Iterator[bytes]:
    """The bodies of ``addcontactlist`` for every row of the source."""
    rows = (dict(zip(FIELDS, row, strict=True)) for row in read_sqlite(job.database))
    for batch in batches(rows, BATCH):
        contacts = json.dumps(batch, ensure_ascii=False, separators=(",", ":"))
        yield urlencode(job.form("addcontactlist", contacts=contacts)).encode()


async def post_all(address: str, waiting: Iterator[bytes], connections: int) -> None:
    """Post every body over so many connections, and read every answer."""
    import aiohttp

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=connections)) as session:

        async def worker() -> None:
            for body in waiting:
                async with session.post(address, data=body, headers=FORM) as response:
                    await response.read()

        await asyncio.gather(*(worker() for _ in range(connections)))


def send(job: Job) -> None:
    """A bare aiohttp loop that sends the bytes of a first load, made before."""
    import aiohttp  # noqa: F401 - what is imported here is not timed

    made = list(bodies(job))
    with job.timed():
        asyncio.run(post_all(job.address, iter(made), CONNECTIONS))


def read_group(job: Job) -> None:
    """A bare read of the group: aiohttp streams it, ijson parses it, nothing is kept."""
    import aiohttp
    import ijson

    async def read() -> None:
        found = 0
        contacts = ijson.sendable_list()
        parser = ijson.items_coro(contacts, "result.item")
        async with (
            aiohttp.ClientSession() as session,
            session.post(job.address, data=urlencode(job.form("getcontacts")), headers=FORM) as response,
        ):
            async for part in response.content.iter_chunked(1 << 16):
                parser.send(part)
                found += len(contacts)
                contacts.clear()
        parser.close()
        if not found:
            raise RuntimeError("there is no contact in what getcontacts answered")

    with job.timed():
        asyncio.run(read())


def read_query(job: Job) -> None:
    """A bare read of the query."""
    with job.timed():
        for _ in read_sqlite(job.database):
            pass


def import_only(job: Job) -> None:
    """The bare import of the operator, for its memory."""
    with job.timed():
        import airflow_provider_afilnet.transfers.sql_to_afilnet_group  # noqa: F401


FLOORS: dict[str, Callable[[Job], None]] = {
    "send": send,
    "read group": read_group,
    "read query": read_query,
    "import": import_only,
}


if __name__ == "__main__":
    FLOORS[sys.argv[2]](Job.given())
