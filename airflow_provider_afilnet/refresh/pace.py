"""How fast calls may go: one rate for all connections, one pause for all when the server asks for it, and the stop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeVar

from airflow_provider_afilnet.api.errors import AfilnetError
from airflow_provider_afilnet.refresh.errors import AfilnetRefreshError, AfilnetStoppedError

if TYPE_CHECKING:
    from aiolimiter import AsyncLimiter
    from tenacity import RetryCallState

T = TypeVar("T")

_TRIES: Final = 6
_LONGEST_WAIT: Final = 30.0
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
    """Calls wait their turn here.

    :param per_second: requests per second; 0 is no limit.
    :param stop: looked at before every call and during every wait.
    """

    def __init__(self, per_second: float, stop: StopFlag) -> None:
        self._limiter: AsyncLimiter | None = None
        if per_second:
            from aiolimiter import AsyncLimiter

            # A tenth of a second's worth may burst; more would be a burst at the start of every run.
            self._limiter = AsyncLimiter(max(1.0, per_second / 10), max(1.0, per_second / 10) / per_second)
        self._stop = stop
        self._resume_at = 0.0
        self.calls = 0

    async def turn(self) -> None:
        """Wait until the next call may be sent, and count it."""
        while True:
            while (wait := self._resume_at - time.monotonic()) > 0:
                await self.sleep(wait)
            if self._limiter is not None:
                await self._limiter.acquire()
            self._stop.check()
            # A pause may have been asked for while this call waited for the rate.
            if self._resume_at <= time.monotonic():
                break
        self.calls += 1

    async def sleep(self, seconds: float) -> None:
        """Sleep, but wake up soon after a stop."""
        end = time.monotonic() + seconds
        while True:
            self._stop.check()
            left = end - time.monotonic()
            if left <= 0:
                return
            await asyncio.sleep(min(left, 0.2))

    async def patiently(self, call: Callable[[], Awaitable[T]], passing: Callable[[AfilnetError], bool]) -> T:
        """Make a call, again in place while its errors pass; every try waits its turn.

        ``Retry-After`` holds back all connections at once; otherwise the wait grows with jitter.

        :param passing: whether this error may be followed by the same call.
        :raises AfilnetError: the last error.
        """
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

        async def one_try() -> T:
            await self.turn()
            try:
                return await call()
            except AfilnetError as error:
                # Also where this call is not repeated: the others are to wait.
                if error.retry_after is not None and error.retry_after <= LONGEST_PAUSE:
                    self._resume_at = max(self._resume_at, time.monotonic() + error.retry_after)
                raise

        retrying = AsyncRetrying(
            retry=retry_if_exception(again), wait=wait, stop=stop_after_attempt(_TRIES), sleep=self.sleep, reraise=True
        )
        return await retrying(one_try)
