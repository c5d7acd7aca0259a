"""A trigger that watches the event loop it runs in: how late a heartbeat comes, and what the loop's thread did then."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent


class LoopWatch(BaseTrigger):
    """Beat until the file ``ends_with`` appears, then fire one event that tells what was seen, in seconds.

    ``longest``: the longest wait for a turn by the clock, which holds what other processes took from this one.
    ``busiest``: the most CPU time that the loop's thread spent between two beats. ``busiest_but_gc``: the same where
    Python made no full collection of its garbage meanwhile, which takes long with as many objects as Airflow has,
    whoever makes the last one. ``collection``: the longest of those in CPU time; ``collections``: how many there were.
    ``objects``: by how many objects that a collection looks at the process grew meanwhile, the growth of which brings a
    full one about. ``cpu``: CPU time of the thread all in all. ``beats``: how many beats there were.

    :param ends_with: path of the file.
    :param beat: seconds between two beats.
    """

    def __init__(self, *, ends_with: str, beat: float) -> None:
        super().__init__()
        self.ends_with = ends_with
        self.beat = beat

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "loop_watch.LoopWatch", {"ends_with": self.ends_with, "beat": self.beat}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        beats, longest, busiest, busiest_but_gc = 0, 0.0, 0.0, 0.0
        collections: list[float] = []
        collecting_since = 0.0

        def collecting(phase: str, info: dict[str, int]) -> None:
            nonlocal collecting_since
            if info["generation"] == 2 and phase == "start":
                collecting_since = time.thread_time()
            elif info["generation"] == 2:
                collections.append(time.thread_time() - collecting_since)

        objects = len(gc.get_objects())
        gc.callbacks.append(collecting)
        began = before = time.thread_time()
        while not Path(self.ends_with).exists():  # noqa: ASYNC240 - a microsecond
            due, collected = time.monotonic() + self.beat, len(collections)
            await asyncio.sleep(self.beat)
            beats += 1
            longest = max(longest, time.monotonic() - due)
            busy = -before + (before := time.thread_time())
            busiest = max(busiest, busy)
            if len(collections) == collected:
                busiest_but_gc = max(busiest_but_gc, busy)
        gc.callbacks.remove(collecting)
        yield TriggerEvent(
            {
                "beats": beats,
                "longest": longest,
                "busiest": busiest,
                "busiest_but_gc": busiest_but_gc,
                "collection": max(collections, default=0.0),
                "collections": len(collections),
                "objects": len(gc.get_objects()) - objects,
                "cpu": before - began,
            }
        )
