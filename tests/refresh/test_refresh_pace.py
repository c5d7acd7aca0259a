"""The pace finds the limit of a server that nobody told it, keeps just below it, and never exceeds the user's bounds.

Over minutes in virtual time, with the real pace and a server in a few lines; and over real HTTP with the sandbox.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refresh_world import World, bag, people
from virtual_time import AtOnce, Limit, TokenBucket, VirtualLoop, Windows, served

from airflow_provider_afilnet.api.errors import AfilnetConnectionError, AfilnetError, AfilnetRateLimitedError
from airflow_provider_afilnet.refresh.errors import AfilnetStoppedError
from airflow_provider_afilnet.refresh.pace import Pace, StopFlag
from airflow_provider_afilnet.refresh.throttle import Throttle

LONG = bool(os.environ.get("AFILNET_LONG"))
SHARE, REFUSED = 0.9, 0.02


# --- in virtual time


@pytest.mark.parametrize("retry_after", [True, False], ids=["retry-after", "no-retry-after"])
@pytest.mark.parametrize("latency", [0.0, 0.02, 0.2])
@pytest.mark.parametrize("connections", [4, 16])
@pytest.mark.parametrize("bound", [0, 20, 200])
def test_a_bucket_of_a_second_is_used_up(bound: float, connections: int, latency: float, retry_after: bool) -> None:
    """Over the whole run of 1,500 calls, the search for the limit included."""
    seen = served(
        TokenBucket(50, 50), 1500, bound=bound, connections=connections, latency=latency, retry_after=retry_after
    )
    possible = min(50, bound or 50, connections / (latency + 0.001))
    assert seen.rate() >= SHARE * possible
    assert seen.refused_share < REFUSED
    assert seen.given_up == 0


@pytest.mark.parametrize(
    ("limit", "calls"),
    [
        (lambda: TokenBucket(50, 10), 3000),
        (lambda: Windows(50), 3000),
        (lambda: Windows(50, 0.8), 3000),
    ],
    ids=["burst of ten", "windows", "other windows"],
)
@pytest.mark.parametrize("retry_after", [True, False], ids=["retry-after", "no-retry-after"])
def test_other_limits_are_used_up_in_longer_runs(limit: Callable[[], Limit], calls: int, retry_after: bool) -> None:
    """Where a refusal wastes more, the search weighs more."""
    seen = served(limit(), calls, retry_after=retry_after)
    assert seen.rate() >= SHARE * 50
    assert seen.refused_share < REFUSED
    assert seen.given_up == 0


@pytest.mark.parametrize("seed", range(12 if LONG else 4))
@pytest.mark.parametrize(("burst", "latency", "share"), [(10, 0.005, 0.92), (20, 0.005, 0.93), (10, 0.02, 0.91)])
def test_half_a_minute_at_a_limit_with_pauses(burst: float, latency: float, share: float, seed: int) -> None:
    """Each refusal costs most of a second, so the two of the search must tell the limit."""
    seen = served(TokenBucket(50, burst), 1500, latency=latency, jitter=0.0005, seed=seed)
    assert 1500 / seen.seconds >= share * 50
    assert seen.refused_share < REFUSED / 2
    assert seen.given_up == 0


@pytest.mark.parametrize(("retry_after", "share"), [(True, 0.85), (False, 0.9)], ids=["retry-after", "no-retry-after"])
def test_a_limit_without_a_burst(retry_after: bool, share: float) -> None:
    """The hardest: a call that is a millisecond early is refused, and that may cost a second's pause for all."""
    seen = served(TokenBucket(50, 1), 6000, retry_after=retry_after)
    assert seen.rate() >= share * 50
    assert seen.refused_share < (REFUSED if not retry_after else 0.005)
    assert seen.given_up == 0


@pytest.mark.parametrize("seed", range(8 if LONG else 2))
@pytest.mark.parametrize("burst", [1, 10, 50])
@pytest.mark.parametrize("retry_after", [True, False], ids=["retry-after", "no-retry-after"])
@pytest.mark.parametrize("new", [25, 100])
def test_a_limit_that_changes_is_followed(new: float, retry_after: bool, burst: float, seed: int) -> None:
    limit = TokenBucket(50, burst)
    moved: list[float] = []

    def change() -> None:
        limit.per_second = new
        moved.append(limit.at)

    calls = 3500 if new < 50 else 9000
    seen = served(limit, calls, retry_after=retry_after, at_call=(1000, change), connections=8, seed=seed)
    later = moved[0] + 60
    assert seen.seconds > later + 20
    # The way down is found at once, the way up slowly where each look costs a pause of a second.
    assert seen.rate(since=later) >= (0.8 * new if new < 50 else 0.6 * new)
    assert seen.refused_share < REFUSED
    assert seen.given_up == 0


@pytest.mark.parametrize("latency", [0.02, 0.2])
@pytest.mark.parametrize("retry_after", [True, False], ids=["retry-after", "no-retry-after"])
def test_a_server_that_bears_four_calls_at_once(retry_after: bool, latency: float) -> None:
    seen = served(AtOnce(4), 3000, connections=16, latency=latency, retry_after=retry_after)
    assert seen.refused_share < REFUSED
    assert seen.given_up == 0
    assert seen.most_at_once > 4
    # What is refused comes ever more rarely.
    half = seen.seconds / 2
    assert sum(at > half for at in seen.refused) < sum(at <= half for at in seen.refused)


def test_nothing_holds_back_where_nothing_is_refused() -> None:
    seen = served(AtOnce(16), 2000, connections=16, latency=0.1, jitter=0.0001)
    assert seen.rate() >= 0.97 * 16 / 0.102
    assert seen.most_at_once == 16


def test_a_single_refusal_is_forgotten() -> None:
    """A server that refused once for a reason of its own soon gets as many calls as before."""

    class Once(AtOnce):
        def begin(self, now: float) -> tuple[float, int] | None:
            self.calls -= 1
            return (0.1, 429) if self.calls == 0 else None

        def end(self) -> None: ...

    seen = served(Once(100), 4000, connections=8, latency=0.02)
    assert len(seen.refused) == 1
    assert seen.rate(since=seen.seconds * 0.6) >= 0.9 * 8 / 0.022


def _run(loop: VirtualLoop, pace: Pace, calls: int, workers: int, outcome: Callable[[], tuple[str, float]]) -> list:
    """Make calls whose outcomes are given; when each began, and how many were under way then."""
    began: list[tuple[float, int]] = []
    now_open = 0

    async def call() -> None:
        nonlocal now_open
        now_open += 1
        began.append((loop.time(), now_open))
        kind, seconds = outcome()
        await asyncio.sleep(seconds)
        now_open -= 1
        if kind == "429":
            raise AfilnetRateLimitedError("x", http_status=429)
        if kind == "wait":
            raise AfilnetRateLimitedError("x", http_status=429, retry_after=2)
        if kind == "503":
            raise AfilnetConnectionError("x", http_status=503)
        if kind == "late":
            error = AfilnetConnectionError("x")
            error.timed_out = True
            raise error
        if kind == "lost":
            raise AfilnetConnectionError("x")
        if kind == "bug":
            raise RuntimeError("x")

    left = iter(range(calls))

    async def worker() -> None:
        for _ in left:
            try:
                await pace.once(call)
            except (AfilnetError, RuntimeError):
                continue

    async def work() -> None:
        await asyncio.gather(*(worker() for _ in range(workers)))

    loop.run_until_complete(asyncio.wait_for(work(), 3600))
    return began


OUTCOMES = st.lists(
    st.tuples(
        st.sampled_from(["ok", "ok", "ok", "429", "wait", "503", "late", "lost", "bug"]),
        st.sampled_from([0.0, 0.001, 0.02, 0.5]),
    ),
    min_size=1,
    max_size=60,
)


@settings(max_examples=1000 if LONG else 60, deadline=None)
@given(
    outcomes=OUTCOMES,
    connections=st.integers(1, 20),
    bound=st.sampled_from([0, 0.5, 3, 20, 150]),
    workers=st.integers(1, 24),
)
def test_whatever_is_answered(outcomes: list[tuple[str, float]], connections: int, bound: float, workers: int) -> None:
    """Never more at once than allowed, never faster than allowed, and every call is made within the hour."""
    loop = VirtualLoop()
    try:
        cycle = iter(outcomes * 300)
        began = _run(loop, Pace(bound, StopFlag(), connections), 150, workers, lambda: next(cycle))
    finally:
        loop.close()
    assert len(began) == 150
    assert max(open_ for _, open_ in began) <= connections
    if bound:
        times = [at for at, _ in began]
        for first in range(0, 150, 7):
            for last in range(first, 150, 11):
                # The burst that the user's own rate has always had.
                assert last - first + 1 <= max(1, bound / 10) + bound * (times[last] - times[first]) + 1


@pytest.mark.parametrize(("kind", "fewer"), [("503", True), ("late", True), ("429", False)])
def test_overload_halves_the_calls_under_way(kind: str, fewer: bool) -> None:
    loop = VirtualLoop()
    try:
        count = iter(range(10_000))
        began = _run(loop, Pace(0, StopFlag(), 8), 400, 8, lambda: (kind if next(count) == 20 else "ok", 0.5))
    finally:
        loop.close()
    after = began[60:120]
    assert max(open_ for _, open_ in after) == (4 if fewer else 8)
    assert max(open_ for _, open_ in began[-80:]) > 4, "slowly back up"


@pytest.mark.parametrize("kind", ["429", "503", "late"])
def test_all_of_them_make_the_calls_rarer(kind: str) -> None:
    loop = VirtualLoop()
    try:
        count = iter(range(10_000))
        began = _run(loop, Pace(0, StopFlag(), 8), 400, 8, lambda: (kind if next(count) == 100 else "ok", 0.01))
    finally:
        loop.close()
    times = [at for at, _ in began]
    assert times[90] - times[82] < 0.05
    assert times[118] - times[110] > 0.15


def test_a_line_that_breaks_slows_nothing_down() -> None:
    loop = VirtualLoop()
    try:
        count = iter(range(10_000))
        began = _run(loop, Pace(0, StopFlag(), 8), 400, 8, lambda: ("lost" if next(count) % 9 == 5 else "ok", 0.01))
    finally:
        loop.close()
    assert began[-1][0] < 400 / 8 * 0.012


@pytest.mark.parametrize("bound", [0, 0.01])
def test_a_stop_ends_every_wait_soon(bound: float) -> None:
    """A wait for the throttle, for another call to end, and for the user's own rate."""
    loop = VirtualLoop()
    stop = StopFlag()
    pace = Pace(bound, stop, 1)
    told: list[float] = []

    async def call() -> None:
        await asyncio.sleep(30)
        raise AfilnetRateLimitedError("x", http_status=429, retry_after=200)

    async def one() -> None:
        with pytest.raises((AfilnetStoppedError, AfilnetRateLimitedError)) as caught:
            await pace.once(call)
        if isinstance(caught.value, AfilnetStoppedError):
            told.append(loop.time())

    async def work(at: float) -> None:
        told.clear()
        loop.call_at(at, stop.set)
        await asyncio.gather(one(), one(), one())

    try:
        # While the others wait for the first call to end, and while they wait out the pause that it brought.
        loop.run_until_complete(work(45.0))
    finally:
        loop.close()
    assert len(told) == 2
    assert max(told) <= 45.5


def test_a_stop_ends_a_sleep_soon() -> None:
    loop = VirtualLoop()
    stop = StopFlag()

    async def work() -> None:
        loop.call_at(45.0, stop.set)
        with pytest.raises(AfilnetStoppedError):
            await Pace(0, stop, 1).sleep(1000.0)

    try:
        loop.run_until_complete(work())
        assert loop.time() <= 45.5
    finally:
        loop.close()


def test_a_pause_holds_for_a_call_that_waits_for_the_rate() -> None:
    """Its turn by the user's rate comes after two seconds, and the pause has begun by then."""
    loop = VirtualLoop()
    pace = Pace(0.5, StopFlag(), 4)
    began: list[float] = []

    async def refused() -> None:
        began.append(loop.time())
        await asyncio.sleep(1)
        raise AfilnetRateLimitedError("x", http_status=429, retry_after=30)

    async def passed() -> None:
        began.append(loop.time())

    async def work() -> None:
        await asyncio.gather(pace.once(refused), pace.once(passed), return_exceptions=True)

    try:
        loop.run_until_complete(work())
    finally:
        loop.close()
    assert began[1] - began[0] >= 31


# --- over real HTTP


@pytest.mark.parametrize(
    ("bound", "updates"),
    [(0, 1500), (200, 1500 if LONG else 500), (20, 1500 if LONG else 200)],
    ids=["no bound", "bound above", "bound below"],
)
def test_a_limited_sandbox_is_used_up(world: World, bound: float, updates: int) -> None:
    """A limit of 50 calls a second that the connection says nothing about, or more, or less."""
    world.make(people(*range(updates)))
    fault = world.sandbox.fail("rate_limited", per_second=50)
    random.seed(0)
    result = world.run(people(*range(updates), name="New"), settings={"max_requests_per_second": bound}, max_deletes=0)
    calls = world.sandbox.calls
    assert world.now() == bag(people(*range(updates), name="New"))
    refused = sum(call.status == 429 for call in calls)
    assert refused == fault.hits
    assert result.requests == len(calls)
    assert refused < REFUSED * len(calls)
    times = [call.at for call in calls if call.method == "modifycontact" and call.status == 200]
    assert len(times) == updates
    assert updates >= SHARE * min(50, bound or 50) * (times[-1] - min(call.at for call in calls))


@dataclass
class NowAndThen:
    """A proxy that fails for some calls, however fast or slow they come."""

    share: float
    status: int
    dice: random.Random = field(default_factory=lambda: random.Random(7))

    def begin(self, now: float) -> tuple[float, int] | None:
        return (0.02, self.status) if self.dice.random() < self.share else None

    def end(self) -> None: ...


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("share", [0.01, 0.03, 0.05])
def test_refusals_that_have_nothing_to_do_with_the_rate_do_not_stop_the_calls(share: float, status: int) -> None:
    seen = served(NowAndThen(share, status), calls=4000, bound=20, retry_after=False)
    assert seen.rate(since=seen.seconds * 0.75) >= 0.5 * 20


def test_refusals_without_end_are_no_error_of_their_own() -> None:
    throttle = Throttle(4)
    now = 0.0
    for _ in range(5000):
        now += throttle.wait(now)
        throttle.send(now)
        throttle.refused(now, now + 0.01, overloaded=False)
        now += 0.02
    assert 0 < throttle.wait(now) < 60
