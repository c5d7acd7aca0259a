"""Many triggers in one process: they share what they can, come on time, and leave the event loop free.

The last two run in the process that Airflow's triggerer starts for them, over HTTPS, with the usual authorities.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_group_exists_trigger import trigger
from tls_front import TlsFront

from airflow_provider_afilnet.sandbox import Sandbox
from airflow_provider_afilnet.triggers import sharing
from airflow_provider_afilnet.triggers.sharing import CALLS_AT_ONCE, connection_settings, shared_client

pytestmark = pytest.mark.usefixtures("afilnet_conn")

MANY = 1000 if os.environ.get("AFILNET_LONG") else 100
INTERVAL = MANY / 50
"""Seconds between two looks of one trigger: fifty looks a second, which a busy machine with two cores can serve."""
ROUNDS = 4


def test_triggers_of_one_connection_ask_for_one_token(sandbox: Sandbox, afilnet_conn: Callable[..., None]) -> None:
    sandbox.add_client(sandbox.user, "client", "client secret")
    extra = {
        "api_style": "json",
        "json_url": f"{sandbox.url}/api/json/",
        "token_url": f"{sandbox.url}/oauth/token",
        "client_id": "client",
        "client_secret": "client secret",
    }
    afilnet_conn(extra=extra)
    group = sandbox.create_group("g", "mobile", ["mobile"])

    async def fire() -> list[Any]:
        async def one() -> Any:
            return [event.payload["status"] async for event in trigger(group_id=group).run()]

        return await asyncio.gather(*(one() for _ in range(20)))

    assert asyncio.run(fire()) == [["exists"]] * 20
    assert sandbox.token_requests == 1


def test_a_connection_is_read_after_it_was_asked_for(afilnet_conn: Callable[..., None]) -> None:
    """Who waits shares a reading; who comes later gets what the connection holds then."""

    async def ask() -> None:
        afilnet_conn(extra={"timeout": 11})
        first = await asyncio.gather(*(connection_settings("afilnet_default") for _ in range(50)))
        assert {settings.timeout for settings in first} == {11}
        assert len({id(settings) for settings in first}) <= 2
        for moment in range(60):
            # However far the reading that is under way has come, it began before this change.
            under_way = asyncio.ensure_future(connection_settings("afilnet_default"))
            await asyncio.sleep(moment / 20_000)
            afilnet_conn(extra={"timeout": 20 + moment})
            assert (await connection_settings("afilnet_default")).timeout == 20 + moment
            await under_way

    asyncio.run(ask())


def test_a_reading_that_fails_fails_for_all_who_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand triggers that each waited out a time-out of the back-end, in turn, would never come to their looks."""
    looked_up = []

    async def slow(conn_id: str) -> Any:
        looked_up.append(conn_id)
        await asyncio.sleep(0.05)
        raise RuntimeError("the back-end says nothing")

    monkeypatch.setattr(sharing, "get_async_connection", slow)

    async def ask() -> list[Any]:
        return await asyncio.gather(*(connection_settings("any") for _ in range(50)), return_exceptions=True)

    for times in (1, 2):
        assert {str(error) for error in asyncio.run(ask())} == {"the back-end says nothing"}
        assert len(looked_up) <= 2 * times, "and nothing is kept for those who come later"


def test_a_client_is_open_as_long_as_somebody_uses_it(afilnet_conn: Callable[..., None], sandbox: Sandbox) -> None:
    group = sandbox.create_group("g", "mobile", ["mobile"])

    async def use() -> None:
        settings = await connection_settings("afilnet_default")
        async with shared_client(settings) as first:
            async with shared_client(settings) as second:
                assert second is first
            await first.call("getgroupcolumns", idgroup=group)
            afilnet_conn(password="wrong")
            async with shared_client(await connection_settings("afilnet_default")) as other:
                assert other is not first
        async with shared_client(settings) as later:
            assert later is not first
            await later.call("getgroupcolumns", idgroup=group)

    asyncio.run(use())


def test_one_cancelled_trigger_leaves_the_others_their_client(sandbox: Sandbox) -> None:
    group = sandbox.create_group("g", "mobile", ["mobile"])
    sandbox.fail("latency", seconds=0.5)

    async def one() -> list[Any]:
        return [event.payload["status"] async for event in trigger(group_id=group).run()]

    async def fire() -> list[Any]:
        tasks = [asyncio.create_task(one()) for _ in range(4)]
        await asyncio.sleep(0.3)
        tasks[0].cancel()
        return await asyncio.gather(*tasks[1:])

    assert asyncio.run(fire()) == [["exists"]] * 3


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("spread", [1.0, 0.0], ids=["one after the other", "all at once"])
def test_many_triggers_are_on_time(sandbox: Sandbox, tmp_path: Path, spread: float) -> None:
    """Every look that is due comes, and the loop is never busy for a large part of the interval.

    CPU time of the loop's thread is judged, since the clock also counts what other processes take.
    """
    with TlsFront(sandbox.url, tmp_path) as front:
        connection = {
            "conn_type": "afilnet",
            "host": front.url,
            "login": sandbox.user,
            "password": sandbox.password,
            "extra": {"ca_bundle": str(front.bundle)},
        }
        arguments = [
            {
                "afilnet_conn_id": "many",
                "group_id": str(10**6 + number),
                "started": 0,
                "deadline": 3600,
                "next_look": INTERVAL * (1 + spread * number / MANY),
                "poke_interval": INTERVAL,
            }
            for number in range(MANY)
        ]
        plan = {"triggers": arguments, "idle": 0, "lasts": INTERVAL * (ROUNDS + 1.5), "beat": 0.01}
        (tmp_path / "plan.json").write_text(json.dumps(plan))
        here = Path(__file__).parent.parent
        done = subprocess.run(
            [sys.executable, str(here / "triggerer_process.py"), str(tmp_path / "plan.json")],
            capture_output=True,
            text=True,
            env={
                **os.environ,
                "AIRFLOW_CONN_MANY": json.dumps(connection),
                "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
                "PYTHONPATH": os.pathsep.join([str(here), *filter(None, [os.environ.get("PYTHONPATH")])]),
            },
        )
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(done.stdout.rstrip("\n").rpartition("\n")[2])
    assert (seen["events"], seen["failures"]) == ([], [])
    assert sandbox.password not in done.stdout + done.stderr
    # The last round may still be under way; of the others none is missing.
    looks = Counter(call.params["idgroup"] for call in sandbox.calls)
    assert len(looks) == MANY
    done_of_due = sum(min(count, ROUNDS) for count in looks.values()) / (MANY * ROUNDS)
    busy = seen["loop"]["busiest"] / INTERVAL
    print(f"{done_of_due:.3f} of the looks that were due; the loop's longest step is {busy:.3f} of the interval")
    assert done_of_due >= 0.98
    assert busy < 0.25
    # Far fewer connections than triggers, among the files that a process may have open.
    assert seen["files"] < 150


def test_so_many_calls_at_once_and_no_more(sandbox: Sandbox) -> None:
    sandbox.fail("latency", seconds=2)
    many = 3 * CALLS_AT_ONCE

    async def watch() -> int:
        async def one(number: int) -> None:
            async for _ in trigger(group_id=str(number), poke_interval=600, deadline=time.time() + 3600).run():
                pass

        tasks = [asyncio.create_task(one(number)) for number in range(1000, 1000 + many)]
        while sandbox.count("getgroupcolumns") < CALLS_AT_ONCE:  # noqa: ASYNC110 - it is in another thread
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.5)
        at_once = sandbox.count("getgroupcolumns")
        while sandbox.count("getgroupcolumns") < many:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return at_once

    assert asyncio.run(asyncio.wait_for(watch(), 120)) == CALLS_AT_ONCE
    assert {call.params["idgroup"] for call in sandbox.calls} == {str(number) for number in range(1000, 1000 + many)}
