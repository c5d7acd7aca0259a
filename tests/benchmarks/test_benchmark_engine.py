"""What the engine is timed at: the same updates as the bare loop beside it, at a server that really limits."""

from __future__ import annotations

import asyncio
import time

from airflow_provider_afilnet.sandbox import Sandbox
from benchmarks.comparison import Differences, compare
from benchmarks.engine import normalise, refreshed, texts, update_bodies
from benchmarks.floors import post_all
from benchmarks.job import Job
from benchmarks.rows import FIELDS

ROWS = 60
EXACT = Differences(missing=0, stale=0, wrong=0, doubled=0)


def seeded(sandbox: Sandbox) -> tuple[Job, int]:
    contacts = [dict(zip(FIELDS, row, strict=True)) for row in texts(ROWS)]
    group = sandbox.create_group("g", "mobile", FIELDS, contacts)
    first_id = min(int(contact["idcontact"]) for contact in sandbox.contacts(group))
    return Job("", sandbox.url, group, "", sandbox.user, sandbox.password), first_id


def test_engine_and_bare_loop_make_the_same_updates(sandbox: Sandbox) -> None:
    job, first_id = seeded(sandbox)
    sent = {}
    for who, points in (("engine", 20_000), ("bare loop", 30_000)):
        sandbox.clear_calls()
        wanted = texts(ROWS, points)
        if who == "engine":
            assert refreshed(job, wanted) > 0
        else:
            asyncio.run(post_all(job.address, iter(update_bodies(job, wanted, first_id)), 4))
        assert compare(wanted, sandbox.contacts(job.group)) == EXACT
        updates = [call.params for call in sandbox.calls if call.method == "modifycontact"]
        sent[who] = sorted((one["idcontact"], str(one["contact"]).replace(str(points), "…")) for one in updates)
    assert sent["engine"] == sent["bare loop"]
    assert len(sent["engine"]) == ROWS


def test_only_the_updates_are_timed_and_the_limit_is_felt(sandbox: Sandbox) -> None:
    job, _ = seeded(sandbox)
    sandbox.fail("latency", seconds=1, methods=["getcontacts"])
    began = time.monotonic()
    took = refreshed(job, texts(ROWS, 20_000))
    # Two reads of a second each are not the updates' time.
    assert took < time.monotonic() - began - 2
    sandbox.fail("rate_limited", per_second=20, burst=10, methods=["modifycontact"])
    assert refreshed(job, texts(ROWS, 30_000)) >= (ROWS - 10) / 20


def test_every_row_is_normalised(sandbox: Sandbox) -> None:
    found = normalise(seeded(sandbox)[0], 2_000)
    assert found["rows"] == 2_000
    assert 0 < found["seconds"] < found["with_keeping_seconds"]
