"""How fast calls may go: within the user's bounds and what the server bears, one pause for all, and the stop."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeVar

from airflow_provider_afilnet.api.errors import AfilnetError
from airflow_provider_afilnet.api.settings import DEFAULT_MAX_CONNECTIONS
from airflow_provider_afilnet.refresh.errors import AfilnetRefreshError, AfilnetStoppedError
from airflow_provider_afilnet.refresh.throttle import Throttle

if TYPE_CHECKING:
    from aiolimiter import AsyncLimiter
    from tenacity import RetryCallState

T = TypeVar("T")

_TRIES: Final = 6
_LONGEST_WAIT: Final = 30.0
_LOOK: Final = 0.2
"""Seconds after which every wait looks at the stop."""
_TOO_MANY: Final = (408, 429, 503, 504)
"""The server counts calls, or is too slow or overloaded."""
LONGEST_PAUSE: Final = 300.0
"""A server that asks for a longer pause, in seconds, is better left to the task's own retry."""


class StopFlag:
    """Set from any thread or signal handler; seen by the spooling loop and by every waiting call."""

    def __init__(self) -> None:
        self._flag = threading.Event()

    def set(self) -> None:
        self._flag.set()

    def is_set(self) -> bool:
        return self._flag.is_set()

    def check(self) -> None:
        """Raise :class:`AfilnetStoppedError` if the run was told to stop."""
        if self._flag.is_set():
            raise AfilnetStoppedError("The refresh was told to stop; nothing more is written. The next run carries on.")


class Pace:
    """Calls wait their turn here, and how they end teaches how fast the next ones may go.

    The user's bounds are never exceeded. Below them, HTTP 429 makes the calls rarer, and HTTP 503, 408, 504 and
    time-outs also make fewer of them go at once; what passes brings both slowly back up.

    :param per_second: requests per second; 0 is no limit.
    :param stop: looked at before every call and during every wait.
    :param connections: most calls under way at once, 1 or more.
    """

    def __init__(self, per_second: float, stop: StopFlag, connections: int = DEFAULT_MAX_CONNECTIONS) -> None:
        self._limiter: AsyncLimiter | None = None
        if per_second:
            from aiolimiter import AsyncLimiter

            # A tenth of a second's worth may burst; more would be a burst at the start of every run.
            self._limiter = AsyncLimiter(max(1.0, per_second / 10), max(1.0, per_second / 10) / per_second)
        self._stop = stop
        self._throttle = Throttle(connections)
        self._door = asyncio.Lock()
        self._ended = asyncio.Event()
        self.calls = 0

    async def once(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call when its turn has come, count it, and learn from how it ends.

        :raises AfilnetStoppedError: instead of the call, if the run was told to stop.
        :raises AfilnetError: what the call raises.
        """
        throttle, clock = self._throttle, asyncio.get_running_loop().time
        # One at a time, so that a pause or a slower rate holds for all who still wait.
        async with self._door:
            self._stop.check()
            while throttle.wait(clock()) or not await self._allowed():
                await self._wait()
            throttle.send(sent_at := clock())
        self.calls += 1
        try:
            answer = await call()
        except AfilnetError as error:
            now = clock()
            if error.timed_out or error.http_status in _TOO_MANY:
                throttle.refused(sent_at, now, overloaded=error.http_status != 429)
            else:
                throttle.failed()
            # Also where this call is not repeated: the others are to wait.
            if error.retry_after is not None and error.retry_after <= LONGEST_PAUSE:
                throttle.pause(now, error.retry_after)
            raise
        except BaseException:
            throttle.failed()
            raise
        else:
            throttle.passed(sent_at)
            return answer
        finally:
            self._ended.set()

    async def _allowed(self) -> bool:
        """Whether the user's own rate lets a call through and, by then, nothing else holds it back."""
        if self._limiter is None:
            return True
        while True:
            try:
                await asyncio.wait_for(self._limiter.acquire(), _LOOK)
                break
            except TimeoutError:
                self._stop.check()
        self._stop.check()
        return not self._throttle.wait(asyncio.get_running_loop().time())

    async def _wait(self) -> None:
        """Wait until the throttle may let a call through; less, when a call ends or to look at the stop."""
        self._stop.check()
        self._ended.clear()
        wait = self._throttle.wait(asyncio.get_running_loop().time())
        if math.isinf(wait):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), _LOOK)
        else:
            await asyncio.sleep(min(wait, _LOOK))
        self._stop.check()

    async def sleep(self, seconds: float) -> None:
        """Sleep, but wake up soon after a stop."""
        clock = asyncio.get_running_loop().time
        end = clock() + seconds
        while True:
            self._stop.check()
            left = end - clock()
            if left <= 0:
                return
            await asyncio.sleep(min(left, _LOOK))

    async def patiently(self, call: Callable[[], Awaitable[T]], passing: Callable[[AfilnetError], bool]) -> T:
        """Make a call, again in place while its errors pass; every try waits its turn.

        ``Retry-After`` holds back all connections at once; otherwise the wait grows with jitter.

        :param passing: whether this error may be followed by the same call.
        :raises AfilnetError: the last error.
        """
        try:
            return await self.once(call)
        except AfilnetError as error:
            failed = [error]

        # Only now: it is work for the processor that nearly all calls do without.
        from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

        grow = wait_random_exponential(multiplier=0.5, max=_LONGEST_WAIT)

        def wait(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            return 0.0 if isinstance(error, AfilnetError) and error.retry_after is not None else grow(state)

        def again(error: BaseException) -> bool:
            return (
                isinstance(error, AfilnetError)
                and not isinstance(error, AfilnetRefreshError)
                and (error.retry_after or 0.0) <= LONGEST_PAUSE
                and passing(error)
            )

        async def another() -> T:
            if failed:
                raise failed.pop()
            return await self.once(call)

        retrying = AsyncRetrying(
            retry=retry_if_exception(again), wait=wait, stop=stop_after_attempt(_TRIES), sleep=self.sleep, reraise=True
        )
        return await retrying(another)
