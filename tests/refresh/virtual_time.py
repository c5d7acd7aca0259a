"""An event loop whose time passes at once, and servers that limit calls, so that the pace can be seen over minutes."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from airflow_provider_afilnet.api.errors import AfilnetError, AfilnetRateLimitedError, AfilnetServerError
from airflow_provider_afilnet.refresh.pace import Pace, StopFlag


class VirtualLoop(asyncio.SelectorEventLoop):
    """Where it would wait for a timer, it sets its clock on; timers ring up to a millisecond late, as with epoll."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._selector.select = self._select  # type: ignore[attr-defined]

    def _select(self, timeout: float | None = None) -> list[Any]:
        assert timeout is not None, "everybody waits for somebody else"
        # Looking takes time too; a timer that is too near to be told from now would never ring otherwise.
        self._now += math.ceil(timeout * 1000) / 1000 + 2e-6
        return []

    def time(self) -> float:
        return self._now


class Limit(Protocol):
    """Says of each call whether it is one too many; if so, after how many seconds the next is not, and the status."""

    def begin(self, now: float) -> tuple[float, int] | None: ...

    def end(self) -> None: ...


@dataclass
class TokenBucket:
    per_second: float
    burst: float
    at: float = 0.0
    tokens: float = -1.0

    def begin(self, now: float) -> tuple[float, int] | None:
        before = self.burst if self.tokens < 0 else self.tokens
        self.tokens = min(self.burst, before + (now - self.at) * self.per_second)
        self.at = now
        if self.tokens < 1:
            return (1 - self.tokens) / self.per_second, 429
        self.tokens -= 1
        return None

    def end(self) -> None: ...


@dataclass
class Windows:
    """So many calls in each second of a clock; ``offset``: how far its second is when the run begins."""

    per_second: int
    offset: float = 0.3
    window: int = -1
    taken: int = 0

    def begin(self, now: float) -> tuple[float, int] | None:
        window = math.floor(now + self.offset)
        if window != self.window:
            self.window, self.taken = window, 0
        if self.taken >= self.per_second:
            return window + 1 - now - self.offset, 429
        self.taken += 1
        return None

    def end(self) -> None: ...


@dataclass
class AtOnce:
    """So many calls at once; one more is answered with 503."""

    calls: int
    under_way: int = 0

    def begin(self, now: float) -> tuple[float, int] | None:
        if self.under_way >= self.calls:
            return 0.1, 503
        self.under_way += 1
        return None

    def end(self) -> None:
        self.under_way -= 1


@dataclass
class Seen:
    """What the server saw. ``taken``: the times of the calls that it took."""

    seconds: float = 0.0
    taken: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    most_at_once: int = 0
    given_up: int = 0

    @property
    def refused_share(self) -> float:
        return len(self.refused) / (len(self.refused) + len(self.taken))

    def rate(self, since: float = 0.0) -> float:
        """Calls taken per second from then on."""
        return sum(at >= since for at in self.taken) / (self.seconds - since)


def served(
    limit: Limit,
    calls: int,
    *,
    bound: float = 0,
    connections: int = 4,
    latency: float = 0.02,
    retry_after: bool = True,
    jitter: float = 0.0003,
    at_call: tuple[int, Callable[[], object]] | None = None,
    seed: int = 0,
) -> Seen:
    """Make so many repeatable calls of a server with this limit, over the real pace.

    :param retry_after: refusals say in whole seconds how long to wait.
    :param jitter: seconds by which a call is late on its way, on average.
    :param at_call: after so many calls that were taken, do this.
    """
    chance = random.Random(seed)
    random.seed(seed)
    seen, at_once, loop = Seen(), 0, VirtualLoop()
    pace = Pace(bound, StopFlag(), connections)

    async def call() -> None:
        nonlocal at_once
        at_once += 1
        seen.most_at_once = max(seen.most_at_once, at_once)
        try:
            await asyncio.sleep(latency / 2 + chance.expovariate(1 / jitter))
            if at_call and len(seen.taken) == at_call[0]:
                at_call[1]()
            refusal = limit.begin(loop.time())
            (seen.taken if refusal is None else seen.refused).append(loop.time())
            await asyncio.sleep(latency / 2)
            if refusal is not None:
                kind = AfilnetRateLimitedError if refusal[1] == 429 else AfilnetServerError
                wait = max(1, math.ceil(refusal[0])) if retry_after else None
                raise kind("Refused.", http_status=refusal[1], retry_after=wait)
            limit.end()
        finally:
            at_once -= 1

    left = iter(range(calls))

    async def worker() -> None:
        for _ in left:
            try:
                await pace.patiently(call, lambda error: error.retryable)
            except AfilnetError:
                seen.given_up += 1

    async def work() -> None:
        await asyncio.gather(*(worker() for _ in range(connections)))

    try:
        loop.run_until_complete(work())
    finally:
        loop.close()
    assert pace.calls == len(seen.taken) + len(seen.refused)
    seen.seconds = loop.time()
    return seen
