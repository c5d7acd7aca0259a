"""The trigger on its own: what it is made of, that it fires once, and how often it looks."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
from airflow_of import sent_and_received
from style_extras import CLIENT_SECRET, style_extras
from task_logs import PASSWORD, Logs

from airflow_provider_afilnet.api.settings import STYLES
from airflow_provider_afilnet.sandbox import Sandbox
from airflow_provider_afilnet.triggers.groups import AfilnetGroupExistsTrigger

pytestmark = pytest.mark.usefixtures("afilnet_conn")


def trigger(**options: Any) -> AfilnetGroupExistsTrigger:
    now = time.time()
    return AfilnetGroupExistsTrigger(
        **{
            "afilnet_conn_id": "afilnet_default",
            "group_id": "555",
            "started": now,
            "deadline": now + 5,
            "next_look": now,
            "poke_interval": 0.1,
            **options,
        }
    )


def events(one: AfilnetGroupExistsTrigger) -> list[dict[str, Any]]:
    async def collect() -> list[dict[str, Any]]:
        return [event.payload async for event in one.run()]

    return asyncio.run(collect())


def test_serialize_is_json_and_rebuilds_the_same_trigger() -> None:
    one = trigger(exponential_backoff=True, max_wait=9.0)
    path, arguments = one.serialize()
    assert path == "airflow_provider_afilnet.triggers.groups.AfilnetGroupExistsTrigger"
    module, _, name = path.rpartition(".")
    rebuilt = getattr(import_module(module), name)(**json.loads(json.dumps(arguments)))
    assert rebuilt.serialize() == (path, arguments)
    assert all(value is None or isinstance(value, (str, int, float, bool)) for value in arguments.values())
    assert PASSWORD not in repr(one)


def test_serialize_passes_airflows_own_form() -> None:
    _, arguments = trigger().serialize()
    assert sent_and_received(arguments) == arguments


def test_a_group_that_exists_fires_once(sandbox: Sandbox) -> None:
    group = sandbox.create_group("g", "mobile", ["mobile"])
    (event,) = events(trigger(group_id=group))
    assert (event["status"], event["group_id"]) == ("exists", group)
    assert sandbox.count("getgroupcolumns") == 1


def test_a_group_that_appears_later_is_seen(sandbox: Sandbox) -> None:
    group = sandbox.create_group("g", "mobile", ["mobile"])
    sandbox.fail("error", code="NOT_ACCESS_TO_GROUP", count=3)
    (event,) = events(trigger(group_id=group))
    assert event["status"] == "exists"
    assert sandbox.count("getgroupcolumns") == 4


def test_the_first_look_waits_for_its_moment(sandbox: Sandbox) -> None:
    group = sandbox.create_group("g", "mobile", ["mobile"])
    began = time.time()
    events(trigger(group_id=group, next_look=began + 0.5))
    assert 0.5 <= time.time() - began < 2


def test_the_deadline_fires_late_and_there_is_no_hot_loop(sandbox: Sandbox) -> None:
    now = time.time()
    (event,) = events(trigger(poke_interval=0, deadline=now + 0.55))
    assert event["status"] == "late"
    assert 3 <= sandbox.count("getgroupcolumns") <= 8


def test_errors_do_not_make_a_hot_loop(sandbox: Sandbox) -> None:
    sandbox.fail("http_500", status=503)
    (event,) = events(trigger(poke_interval=0, deadline=time.time() + 1.3))
    assert event["status"] == "late"
    assert "503" in event["message"]
    assert sandbox.count("getgroupcolumns") <= 4


def test_retry_after_is_obeyed(sandbox: Sandbox) -> None:
    group = sandbox.create_group("g", "mobile", ["mobile"])
    sandbox.fail("rate_limited", retry_after=2, count=1)
    began = time.time()
    (event,) = events(trigger(group_id=group))
    assert event["status"] == "exists"
    assert time.time() - began >= 2


def test_a_permanent_error_fires_failed_at_once(sandbox: Sandbox, afilnet_conn: Callable[..., None]) -> None:
    afilnet_conn(password="wrong")
    (event,) = events(trigger())
    assert event["status"] == "failed"
    assert sandbox.count("getgroupcolumns") == 1


def test_a_connection_that_cannot_be_read_fires_failed(afilnet_conn: Callable[..., None]) -> None:
    afilnet_conn(extra={"surplus": 1})
    (event,) = events(trigger())
    assert event["status"] == "failed"
    assert "'surplus'" in event["message"]


def test_a_connection_nobody_defined_fires_broken() -> None:
    (event,) = events(trigger(afilnet_conn_id="never_defined"))
    assert event["status"] == "broken"


def test_the_password_arrives_unaltered_and_shows_nowhere(
    sandbox: Sandbox, afilnet_conn: Callable[..., None], logs: Logs
) -> None:
    # Marks that a masker or a URL form might alter.
    secret = PASSWORD + " &%+ñ***'\""
    sandbox.add_account("demo", secret)
    for style in STYLES:
        afilnet_conn(password=secret, extra=style_extras(sandbox, style))
        group = sandbox.create_group("g", "mobile", ["mobile"])
        (event,) = events(trigger(group_id=group))
        assert event["status"] == "exists", event
        assert PASSWORD not in json.dumps(event)
    assert {call.style for call in sandbox.calls} == set(STYLES)
    for text in (PASSWORD, secret, CLIENT_SECRET):
        assert text not in logs.text


def test_a_cancelled_trigger_ends_and_fires_nothing() -> None:
    async def cancel() -> list[Any]:
        fired: list[Any] = []

        async def collect() -> None:
            fired.extend([event async for event in trigger(deadline=time.time() + 600).run()])

        task = asyncio.create_task(collect())
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return fired

    assert asyncio.run(cancel()) == []


def test_the_event_loop_is_never_held_up(sandbox: Sandbox) -> None:
    """While one trigger waits for a slow answer, the loop goes on."""
    group = sandbox.create_group("g", "mobile", ["mobile"])
    sandbox.fail("latency", seconds=1)

    async def watch() -> float:
        from airflow.triggers.base import TriggerEvent

        longest, seen = 0.0, time.monotonic()
        fired: list[TriggerEvent] = []

        async def collect() -> None:
            fired.extend([event async for event in trigger(group_id=group).run()])

        task = asyncio.create_task(collect())
        await asyncio.sleep(0.3)  # the first use imports aiohttp
        seen = time.monotonic()
        while not task.done():
            await asyncio.sleep(0.01)
            longest, seen = max(longest, time.monotonic() - seen), time.monotonic()
        assert len(fired) == 1
        return longest

    assert asyncio.run(watch()) < 0.3
