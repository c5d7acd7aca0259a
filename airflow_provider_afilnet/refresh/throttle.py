"""What refusals teach about the rate and the connections that a server bears. It knows no clock and sends nothing.

There is no rate until the first refusal. Then one is *searched for*: it begins low and grows with every call that
passes, until the second refusal. From both, the limit and its burst are reckoned as those of a token bucket that was
empty both times; since calls are whole, that leaves a range. From then on the rate is *kept*: each refusal takes it
back a little, and it climbs as CUBIC does, flat near where it was refused and steep far above, so that a limit which
has gone up is found too. The climb takes the longer, the more calls a refusal costs and the longer the pause that came
with it.

Connections are halved when the server is overloaded, and tried one by one again, each time after more calls.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Callable
from typing import Final

# Calls per second.
_FIRST_RATE: Final = 20.0
_LOWEST_RATE: Final = 0.5
_NO_RATE: Final = 20_000.0
"""A rate so high is none."""

# What the search adds with each call that passes. By a fixed step the rate doubles in equal times, so that more time
# lies between the limit and the refusal than if it grew by a share with each call, and the limit is told more exactly.
# Above 80 calls per second the share is more, or a high limit would take long to find.
_SEARCH_STEP: Final = 1.6
_SEARCH_GROWTH: Final = 0.02
_IN_RANGE: Final = 0.65
"""Where the limit is taken to be in the range that two refusals leave. It is seldom in the lower half of it."""
_MARGIN: Final = 0.1
"""A limit is taken for less by that share of one call of its burst: the fewer calls may burst, the less may come early.
"""
_REMEMBERED: Final = 3_000

_SETTLE_BELOW: Final = 0.02
_STEP_BACK: Final = 0.03
_COSTLY_STEP_BACK: Final = 0.05
"""Where a refusal brings a pause for all: farther from the limit they are rarer."""

# What refusals may cost: their share of the calls, and of the time that is spent in pauses.
_REFUSED_SHARE: Final = 0.004
_UNSURE_REFUSED_SHARE: Final = 0.02
_PAUSED_SHARE: Final = 0.02

_RISE: Final = 0.1
"""Growth in each second once the rate is well above the last refusal."""

_FEW: Final = 4
"""Refused again after fewer calls than that, the server takes none just now: its window is not over, say."""
_LOOK_AGAIN: Final = 0.1
_LOOK_AGAIN_MOST: Final = 1.0
_DOUBLINGS: Final = 10

_SOON: Final = 0.5
"""A refusal before that share of the way back to where the last one was is no matter of the rate, or the limit fell."""
_IN_A_ROW: Final = 6
_FAR_BELOW: Final = 0.6
_LOOK_BELOW: Final = 0.8
"""Where they come evenly, a rate lower by so much is tried now and then: at a limit that fell while the rate went down,
refusals come as often until the rate is below it."""

_TICK: Final = 0.001
"""Seconds that a timer of the event loop may be late."""

_TRY_CONNECTION_AFTER: Final = 100
_TRY_CONNECTION_AFTER_MOST: Final = 3_200


class Throttle:
    """The rate and the connections that the server bears, as far as it has shown.

    Times are seconds of one clock that never goes back. Every :meth:`send` is followed by one of :meth:`passed`,
    :meth:`refused` and :meth:`failed`.

    :param connections: most calls under way at once; never exceeded.
    """

    def __init__(self, connections: int) -> None:
        self._most_connections = connections
        self._connections = connections
        self._borne_connections = 0
        self._passed_in_a_row = 0
        self._try_connection_after = _TRY_CONNECTION_AFTER
        self._under_way = 0
        self._resume_at = -math.inf
        self._next_at = -math.inf
        # 0 is none. While it is kept: the rate just after the last refusal, and the one to which it climbs back.
        self._rate = 0.0
        self._ceiling = 0.0
        self._climbs_from = -math.inf
        self._burst = 1.0
        self._unsure = False
        self._sent_at: list[float] = []
        # All refusals of calls that were on their way when the rate went down count as one.
        self._refused_at = -math.inf
        # When the last of the calls that began the search went: the bucket had no room for it.
        self._full_at = -math.inf
        self._refusals = 0
        self._passed = 0
        self._pause = 0.0
        self._blocked = 0
        self._soon: list[int] = []
        self._unrelated = 0
        self._soon_from = 0.0

    # --- what may go

    def wait(self, now: float) -> float:
        """Seconds until another call may go: 0 is now, infinity when one that is under way must end first."""
        if self._under_way >= self._connections:
            return math.inf
        return max(0.0, self._resume_at - now, self._next_at - now)

    def send(self, now: float) -> None:
        """A call goes."""
        self._under_way += 1
        if self._rate:
            gap = 1 / self._rate_at(now)
            # Late calls are made up for as far as the server allows bursts; where it may allow none, calls keep their
            # distance, and only those so fast that a timer is too coarse come closer.
            made_up = max(2 * _TICK - gap / 10, gap * min(2.0, (self._burst - 1) / 4))
            self._next_at = max(self._next_at, now - max(0.0, made_up)) + gap

    def pause(self, now: float, seconds: float) -> None:
        """The server asks all to wait."""
        self._resume_at = max(self._resume_at, now + seconds)
        self._pause = max(self._pause, seconds)

    # --- what became of it

    def passed(self, sent_at: float) -> None:
        """The call that went at ``sent_at`` was answered."""
        self._under_way -= 1
        self._passed += sent_at > self._refused_at
        if not self._ceiling:
            self._search(sent_at)
        self._passed_in_a_row += 1
        if self._connections < self._most_connections and self._passed_in_a_row >= self._try_connection_after:
            if self._connections == self._borne_connections + 1:
                self._try_connection_after = _TRY_CONNECTION_AFTER
            self._borne_connections = self._connections
            self._connections += 1
            self._passed_in_a_row = 0

    def failed(self) -> None:
        """The call ended in a way that tells nothing about the load."""
        self._under_way -= 1

    def refused(self, sent_at: float, now: float, *, overloaded: bool) -> None:
        """The call that went at ``sent_at`` was one too many.

        :param overloaded: the server cannot bear as many at once; otherwise it only counts them.
        """
        self._under_way -= 1
        if sent_at <= self._refused_at:
            self._refusals += 1
            if not self._ceiling:
                self._full_at = max(self._full_at, sent_at)
            return
        if overloaded:
            self._use_fewer_connections()
        self._slow_down(sent_at, now)
        self._refused_at = now
        self._refusals = 1
        self._passed = 0
        self._pause = 0.0

    # --- connections

    def _use_fewer_connections(self) -> None:
        if self._connections == self._borne_connections + 1:
            self._connections = max(1, self._borne_connections)
            self._try_connection_after = min(2 * self._try_connection_after, _TRY_CONNECTION_AFTER_MOST)
        else:
            self._connections = max(1, self._connections // 2)
        self._passed_in_a_row = 0

    # --- the rate

    def _search(self, sent_at: float) -> None:
        insort(self._sent_at, sent_at)
        if len(self._sent_at) > _REMEMBERED:
            del self._sent_at[: _REMEMBERED // 2]
        if self._rate and sent_at > self._refused_at:
            self._rate += max(_SEARCH_STEP, _SEARCH_GROWTH * self._rate)
            if self._rate > _NO_RATE:
                self._rate = 0.0

    def _slow_down(self, sent_at: float, now: float) -> None:
        rate = self._rate_at(now)
        if math.isinf(self._refused_at):
            self._rate = _FIRST_RATE
            self._full_at = sent_at
        elif self._passed < _FEW:
            self._blocked += 1
            again = min(_LOOK_AGAIN_MOST, _LOOK_AGAIN * 2 ** min(self._blocked - 1, _DOUBLINGS))
            self._resume_at = max(self._resume_at, now + again)
            if self._blocked > 2:
                self._rate = max(_LOWEST_RATE, rate / 2)
                self._ceiling = min(self._ceiling, self._rate / (1 - _STEP_BACK))
        elif self._ceiling and self._is_unrelated(rate):
            self._ceiling = max(self._ceiling, rate)
            self._unrelated += 1
            recent = self._soon[-_IN_A_ROW:]
            evenly = max(recent) <= 2 * min(recent)
            looks_below = evenly and not self._unrelated % _IN_A_ROW
            self._rate = max(_LOWEST_RATE, rate * (_LOOK_BELOW if looks_below else 1))
        elif self._ceiling:
            step = _COSTLY_STEP_BACK if self._pause else _STEP_BACK
            self._rate = max(_LOWEST_RATE, rate / 2, min((rate + self._measured(now)) / 2, rate * (1 - step)))
            self._ceiling = (rate + self._rate) / 2
            self._unsure = False
        else:
            self._settle_on_a_rate(sent_at, now, rate or _NO_RATE)
        if self._passed >= _FEW:
            self._blocked = 0
        self._climbs_from = now
        self._next_at = now + 1 / self._rate

    def _is_unrelated(self, rate: float) -> bool:
        """Whether refusals come as often at a lower rate, call by call: then a still lower one would not help either.

        A proxy that fails now and then would otherwise bring the rate down to almost nothing.
        """
        if self._passed >= _SOON * self._refusals / _REFUSED_SHARE:
            self._soon.clear()
            self._unrelated = 0
            return False
        if not self._soon:
            self._soon_from = rate
        self._soon.append(self._passed)
        del self._soon[: -2 * _IN_A_ROW]
        half = len(self._soon) // 2
        as_often = len(self._soon) >= _IN_A_ROW and sum(self._soon[-half:]) < 2 * sum(self._soon[:half])
        return as_often and rate <= _FAR_BELOW * self._soon_from

    def _settle_on_a_rate(self, refused_at: float, now: float, rate: float) -> None:
        """The second refusal ends the search, which came as far as ``rate``."""
        elapsed = now - self._refused_at
        # A bucket that was empty before cannot have let more through; calls that arrive late blur what is reckoned.
        proven = self._passed / elapsed if elapsed >= 1 else 0.0
        limit = max(_LOWEST_RATE, min(max(self._bucket_rate(refused_at), proven), rate))
        self._burst = max(1.0, self._levels(limit, refused_at)[1])
        # What a pause lets a bucket refill tells how often it could: a server that counts per window looks the same.
        self._unsure = self._burst >= limit * self._pause
        if self._unsure:
            self._ceiling = min(rate, 2 * limit)
        else:
            self._ceiling = limit = limit / (1 + _MARGIN / self._burst)
        self._rate = limit * (1 - _SETTLE_BELOW)
        self._sent_at.clear()

    def _bucket_rate(self, refused_at: float) -> float:
        """The rate of the leaky bucket that was full at both refusals.

        At too low a rate it would have been fuller before the second than at the first; at too high a rate it would not
        be full at the second.
        """

        def too_low(rate: float) -> bool:
            return self._levels(rate, self._full_at)[0] + 1 <= self._levels(rate, refused_at)[1]

        def not_too_high(rate: float) -> bool:
            level, highest = self._levels(rate, refused_at)
            return level + 1 > highest

        most = _greatest(not_too_high)
        # Calls that arrive late can make them contradict each other.
        least = min(most, _greatest(too_low))
        return least + _IN_RANGE * (most - least)

    def _levels(self, rate: float, until: float) -> tuple[float, float]:
        """How full a bucket is that leaks at ``rate`` and takes every call that passed, and its highest level."""
        level = highest = 0.0
        last = min([until, *self._sent_at[:1]])
        for at in self._sent_at:
            if at > until:
                break
            level = max(0.0, level - (at - last) * rate) + 1
            highest = max(highest, level)
            last = at
        return max(0.0, level - (until - last) * rate), highest

    def _measured(self, now: float) -> float:
        """The rate of a bucket that took what passed since the last refusal, its refill in the pause included."""
        passed, elapsed = self._passed + 1, now - self._refused_at
        rate = passed / elapsed
        if rate * self._pause > self._burst and elapsed > self._pause:
            return (passed - self._burst) / (elapsed - self._pause)
        return rate

    def _rate_at(self, now: float) -> float:
        """Calls per second just now; 0 is no limit."""
        if not self._ceiling:
            return self._rate
        climbed = max(0.0, now - max(self._climbs_from, self._resume_at))
        whole = self._climb()
        below = self._ceiling - self._rate
        if climbed <= 2 * whole:
            return self._ceiling + below * (climbed / whole - 1) ** 3
        return min(_NO_RATE, (self._ceiling + below) * math.exp(min(50.0, _RISE * (climbed - 2 * whole))))

    def _climb(self) -> float:
        """Seconds until the rate is back where it was refused."""
        if self._unsure:
            return self._refusals / (_UNSURE_REFUSED_SHARE * self._rate)
        return max(self._refusals / (_REFUSED_SHARE * self._rate), self._pause / _PAUSED_SHARE)


def _greatest(holds: Callable[[float], bool]) -> float:
    """The greatest rate up to which this holds."""
    low, high = _LOWEST_RATE, _NO_RATE
    while high > low * 1.001:
        middle = math.sqrt(low * high)
        if holds(middle):
            low = middle
        else:
            high = middle
    return low
