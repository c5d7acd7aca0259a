"""The log of calls that reached the sandbox, for tests to ask what a client really did."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from airflow_provider_afilnet.api.methods import METHODS

_KEPT = 100_000
_MASK = "***"
_SECRET = frozenset({"password", "token", "access_token", "refresh_token", "client_secret", "authorization"})
_LONGEST_VALUE = 2_000
_LONGEST_NAME = 100


@dataclass(slots=True)
class Call:
    """One call. It is logged when it arrives; ``applied``, ``status`` and ``error`` follow when they are known.

    ``style``: ``post``, ``get``, ``basic`` (POST) or ``basic-get``. ``params``: as they came, without the password and
    with ``rows`` (how many) in place of ``contacts``; a very long value is cut. ``applied``: the method was carried
    out. ``status``: of HTTP; 0 while there is no answer, and for a connection that was closed without one. ``at``:
    ``time.monotonic()``; ``time``: seconds since 1970. ``number``: 1 for the first call of the log.
    """

    method: str
    style: str
    params: Mapping[str, str | int]
    applied: bool = False
    status: int = 0
    error: str | None = None
    at: float = field(default_factory=time.monotonic)
    time: float = field(default_factory=time.time)
    number: int = 0


class CallLog:
    """The calls of one sandbox. Any thread may call it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: deque[Call] = deque(maxlen=_KEPT)
        self._counts: Counter[str] = Counter()
        self._sent: dict[int, Counter[str]] = {}
        self._arrived = 0

    def arrived(self, method: str, style: str, params: Mapping[str, str]) -> Call:
        """Log a call that has just arrived."""
        shown: dict[str, str | int] = {
            _cut(name, _LONGEST_NAME): _MASK if name.lower() in _SECRET else _cut(value, _LONGEST_VALUE)
            for name, value in params.items()
            if name != "contacts"
        }
        call = Call(_cut(method, _LONGEST_NAME), style, shown)
        with self._lock:
            self._arrived += 1
            call.number = self._arrived
            self._calls.append(call)
            self._counts[call.method] += 1
        return call

    def received(self, group_id: int, keys: Iterable[str]) -> None:
        """Count rows with these keys, which an adding call brought for a group."""
        with self._lock:
            self._sent.setdefault(group_id, Counter()).update(keys)

    @property
    def calls(self) -> list[Call]:
        """The last 100,000 calls, in the order in which they arrived."""
        with self._lock:
            return list(self._calls)

    def count(self, methods: Iterable[str]) -> int:
        """How many calls of these methods arrived."""
        with self._lock:
            return sum(self._counts[method] for method in methods)

    @property
    def writes(self) -> int:
        """How many calls arrived of methods that may change something."""
        return self.count(name for name, method in METHODS.items() if method.writes)

    def sent_rows(self, group_id: int) -> dict[str, int]:
        """Key to how often a row with it was received for the group by a call that adds."""
        with self._lock:
            return dict(self._sent.get(group_id, ()))

    def clear(self) -> None:
        """Forget every call and every received row."""
        with self._lock:
            self._calls.clear()
            self._counts.clear()
            self._sent.clear()
            self._arrived = 0


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text)} characters)"
