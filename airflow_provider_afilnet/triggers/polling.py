"""When to look again: the one decision behind a poking sensor and a trigger. No I/O; the clock is handed in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from airflow_provider_afilnet.api.errors import AfilnetError

SHORTEST_WAIT: Final = 0.1
"""Seconds between two looks in any case, also with a ``poke_interval`` of 0."""
FIRST_WAIT_AFTER_ERROR: Final = 1.0
"""Seconds after a first error; each further one in a row doubles them."""
LONGEST_WAIT_AFTER_ERROR: Final = 300.0
"""Where the doubling ends."""


@dataclass(frozen=True, slots=True)
class Done:
    """What was waited for is there."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Look again in ``seconds``."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Fail:
    """End the wait. ``late``: the deadline passed, which is not an error of the service."""

    message: str
    late: bool


Decision = Done | Wait | Fail


class Polling:
    """Decides after each look; it remembers only how many errors came in a row.

    All moments are seconds since the epoch, so that a deadline outlives the process that set it.

    :param started: when the wait began.
    :param deadline: when it ends.
    :param poke_interval: seconds between two looks.
    :param exponential_backoff: let the interval grow with the time waited so far: it doubles each time.
    :param max_wait: longest interval of that growth in seconds; ``None`` means no limit.
    """

    def __init__(
        self,
        *,
        started: float,
        deadline: float,
        poke_interval: float,
        exponential_backoff: bool = False,
        max_wait: float | None = None,
    ) -> None:
        self.started = started
        self.deadline = deadline
        self.poke_interval = poke_interval
        self.exponential_backoff = exponential_backoff
        self.max_wait = max_wait
        self._errors = 0

    def after(self, outcome: bool | AfilnetError, now: float) -> Decision:
        """What to do after one look.

        :param outcome: whether what is waited for is there, or the error that kept the look from telling.
        :param now: the moment after the look.
        """
        if outcome is True:
            return Done()
        if isinstance(outcome, AfilnetError):
            if not outcome.retryable:
                return Fail(str(outcome), late=False)
            self._errors += 1
            wait = max(self._interval(now), self._pause_after_error(outcome))
        else:
            self._errors = 0
            wait = self._interval(now)
        left = self.deadline - now
        if left <= 0:
            why = f"; the last look failed: {outcome}" if isinstance(outcome, AfilnetError) else "."
            return Fail(f"The wait ended after {self.deadline - self.started:g} s without success{why}", late=True)
        # The last look is at the deadline, not after it.
        return Wait(min(max(wait, SHORTEST_WAIT), left))

    def _interval(self, now: float) -> float:
        if not self.exponential_backoff:
            return self.poke_interval
        # Doubling intervals add up to one interval less than the next. So the time waited tells the next one, and a
        # sensor that is rescheduled, and remembers nothing, goes on where it was.
        growing = max(0.0, now - self.started) + self.poke_interval
        return growing if self.max_wait is None else max(self.poke_interval, min(growing, self.max_wait))

    def _pause_after_error(self, error: AfilnetError) -> float:
        doubled = FIRST_WAIT_AFTER_ERROR * 2.0 ** min(self._errors - 1, 20)
        return max(min(doubled, LONGEST_WAIT_AFTER_ERROR), error.retry_after or 0.0)
