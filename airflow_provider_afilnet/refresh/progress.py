"""What a long refresh says while it works: one line at most every ten seconds, counts only."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from airflow_provider_afilnet.refresh.pace import Pace

log = logging.getLogger(__name__)

SECONDS: Final = 10.0


class Progress:
    """Counts that the floors below keep up to date, and the line that is made of them.

    ``rows`` and ``contacts``: read so far from the source and, in the read under way, from the group. ``planned`` and
    ``done``: writes of the round under way.

    :param pace: counts the calls.
    :param watch: called with this object at every tick, many times a second; what it shows is its own business.
    """

    def __init__(self, group_id: str, pace: Pace, watch: Callable[[Progress], None] | None = None) -> None:
        self._group_id = group_id
        self._pace = pace
        self._watch = watch
        self._told_at = time.monotonic()
        self._calls_then = 0
        self._round_began = 0.0
        self.rows = 0
        self.contacts = 0
        self.planned = 0
        self.done = 0

    def begin_round(self, planned: int) -> None:
        """A round of ``planned`` writes begins."""
        self.planned, self.done = planned, 0
        self._round_began = time.monotonic()

    def tick(self) -> None:
        """Say how far the refresh is, if the last line is ten seconds old. Cheap; called from any loop that lasts."""
        if self._watch is not None:
            self._watch(self)
        now = time.monotonic()
        passed = now - self._told_at
        if passed < SECONDS:
            return
        parts = [f"{self.rows} rows and {self.contacts} contacts read"]
        if self.planned:
            parts.append(f"{self.planned} writes planned, {self.done} done")
        parts.append(f"{(self._pace.calls - self._calls_then) / passed:.1f} calls/s")
        if 0 < self.done < self.planned:
            parts.append(f"{(self.planned - self.done) * (now - self._round_began) / self.done:.0f} s left")
        log.info("Refresh of group %s: %s.", self._group_id, ", ".join(parts))
        self._told_at, self._calls_then = now, self._pace.calls
