"""An event loop in a thread of its own, so that the main thread stays free for signals, time-outs and kills."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, Self, TypeVar

from airflow_provider_afilnet.refresh.errors import AfilnetStoppedError
from airflow_provider_afilnet.refresh.pace import StopFlag

T = TypeVar("T")

_GRACE: Final = 2.5
"""Seconds that calls under way have to end after a stop, before they are cut off."""

_LAST_WORK: Final = 30.0


class LoopThread:
    """Runs coroutines for the main thread, which waits in short steps so that signal handlers get their turn.

    :param tick: called in each of these steps, in the main thread.
    """

    def __init__(self, stop: StopFlag, tick: Callable[[], None]) -> None:
        self._stop = stop
        self._tick = tick
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="afilnet-refresh", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(1.0)
        if not self._thread.is_alive():
            self._loop.close()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run to the end; whatever is raised into the waiting thread (a time-out, an interrupt) stops the work first.

        :raises AfilnetStoppedError: if the work was cut off after a stop.
        """
        ended = threading.Event()

        async def whole() -> T:
            try:
                return await coroutine
            finally:
                ended.set()

        future = asyncio.run_coroutine_threadsafe(whole(), self._loop)
        try:
            while not ended.wait(0.1):
                self._tick()
                if self._stop.is_set():
                    self._wind_down(future, ended)
                    break
        except BaseException:
            self._stop.set()
            self._wind_down(future, ended)
            raise
        try:
            return future.result(1.0)
        except (concurrent.futures.CancelledError, concurrent.futures.TimeoutError):
            if self._stop.is_set():
                raise AfilnetStoppedError(
                    "The refresh was cut off while it stopped; the next run carries on."
                ) from None
            raise

    def _wind_down(self, future: concurrent.futures.Future[T], ended: threading.Event) -> None:
        end = time.monotonic() + _GRACE
        while not ended.is_set() and time.monotonic() < end:
            ended.wait(0.1)
        if not ended.is_set():
            future.cancel()
            # Work that cannot be cut off, such as a page of the plan or an upload, uses what the caller is to close.
            ended.wait(_LAST_WORK)
