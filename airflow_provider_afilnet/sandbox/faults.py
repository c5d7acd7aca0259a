"""Faults on demand: which there are, when one hits a call, and how one is written on the command line."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from airflow_provider_afilnet.api.methods import GROUP_METHODS, METHODS

_REQUIRED: Final = object()
_READ = ("getcontacts",)
_BULK = ("addcontactlist",)
_NUMBERS: Final = frozenset({"seconds", "limit", "rows", "status", "retry_after", "per_second", "burst"})
_LEAST: Final = {"per_second": 0.001, "burst": 1}
_MOST: Final = 10**9


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault: the methods that it can hit, what tells more about it (name to default), and what it does.

    ``ends``: it decides the outcome of the call, so at most one such fault hits a call, the one that was set first.
    """

    detail: Mapping[str, Any]
    methods: tuple[str, ...] = tuple(METHODS)
    ends: bool = True


KINDS: Final[Mapping[str, Kind]] = {
    # The answer comes `seconds` later.
    "latency": Kind({"seconds": _REQUIRED}, ends=False),
    # An HTTP error before anything is done; `retry_after` in seconds.
    "http_500": Kind({"status": 500, "retry_after": None}),
    # With `per_second` a real limit: only calls beyond it, over all connections and accounts, are refused, and
    # `retry_after` is what helps unless it is given; `burst` calls (default: those of one second) may come at once.
    "rate_limited": Kind({"retry_after": None, "per_second": None, "burst": None}),
    # An HTML page with HTTP 200, a JSON answer that ends in the middle; `applied`: the write has been done.
    "html": Kind({"applied": False}),
    "garbled": Kind({"applied": True}),
    # The connection is closed without an answer, before or after the write.
    "drop_before": Kind({}),
    "drop_after": Kind({}),
    # The write is applied only after `seconds`, even if the client has gone, and answered only then.
    "late": Kind({"seconds": _REQUIRED}),
    # The API's error `code`; `applied`: although the write has been done.
    "error": Kind({"code": _REQUIRED, "applied": False}),
    "redirect": Kind({"location": _REQUIRED}),
    # Reads that lie: the first `limit` contacts only, null, no result, an old state, without the contacts of `keys`.
    "capped_read": Kind({"limit": 1000}, _READ, ends=False),
    "null_read": Kind({}, _READ),
    "absent_read": Kind({}, _READ),
    # As of when the fault was set, or as it was `seconds` before the read.
    "stale_read": Kind({"seconds": None}, _READ, ends=False),
    "hide": Kind({"keys": _REQUIRED}, _READ, ends=False),
    # A batch that holds one of `keys` is answered with `code`, and nothing of it is stored.
    "refuse_row": Kind({"keys": _REQUIRED, "code": "INCORRECT_CONTACTS"}, _BULK),
    # A row with one of `keys` is not stored although the answer reports success.
    "lose_row": Kind({"keys": _REQUIRED}, ("addcontact", "addcontactlist"), ends=False),
    # A batch of more than `rows` rows is answered with HTTP `status`, or with HTTP 200 and the error `code`.
    "too_large": Kind({"rows": _REQUIRED, "status": 413, "code": None}, _BULK),
}
"""Every kind of fault by name."""


class Bucket:
    """A token bucket: ``burst`` tokens at first, ``per_second`` new ones, never more than ``burst``."""

    def __init__(self, per_second: float, burst: float | None) -> None:
        self._per_second = per_second
        self._most = max(1.0, per_second) if burst is None else burst
        self._tokens = self._most
        self._counted = time.monotonic()

    def _count(self) -> None:
        now = time.monotonic()
        self._tokens = min(self._most, self._tokens + (now - self._counted) * self._per_second)
        self._counted = now

    def take(self) -> bool:
        """Take a token if there is one."""
        self._count()
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def seconds(self) -> int:
        """Whole seconds, as HTTP wants them, after which there will be a token if nobody else takes it."""
        self._count()
        return max(1, math.ceil((1 - self._tokens) / self._per_second))


@dataclass(eq=False)
class Fault:
    """One fault that was set. ``id``: a number of its own; ``hits``: how many calls it has hit so far."""

    kind: str
    methods: tuple[str, ...]
    detail: Mapping[str, Any]
    first: int | None = None
    count: int | None = None
    every: int = 1
    after: int = 0
    probability: float | None = None
    since: int = 0
    hits: int = 0
    id: int = 0
    bucket: Bucket | None = field(default=None, repr=False)
    _matches: int = field(default=0, repr=False)
    # Seeded, so that a test with a probability does the same each time.
    _random: random.Random = field(default_factory=lambda: random.Random(0), repr=False)
    _remove: Callable[[Fault], None] | None = field(default=None, repr=False)

    def remove(self) -> None:
        """This fault hits no further call."""
        if self._remove is not None:
            self._remove(self)

    def _matching(self, method: str, keys: Collection[str]) -> bool:
        if method not in self.methods:
            return False
        if self.kind in ("refuse_row", "lose_row"):
            return not self.detail["keys"].isdisjoint(keys)
        if self.kind == "too_large":
            return len(keys) > int(self.detail["rows"])
        return True

    def meets(self, method: str, keys: Collection[str]) -> bool:
        """Whether the fault hits this call, which is counted. ``keys``: the rows' keys of a call that adds."""
        if not self._matching(method, keys):
            return False
        self._matches += 1
        number = self._matches - self.after
        if number < 1 or number % self.every or (self.first is not None and number > self.first):
            return False
        if self.count is not None and self.hits >= self.count:
            return False
        if self.probability is not None and self._random.random() >= self.probability:
            return False
        if self.bucket is not None and self.bucket.take():
            return False
        self.hits += 1
        return True

    def described(self) -> dict[str, Any]:
        """The fault as JSON can carry it: the arguments that set it, ``id`` and ``hits``."""
        when = {name: getattr(self, name) for name in ("first", "count", "every", "after", "probability")}
        detail = {name: sorted(value) if name == "keys" else value for name, value in self.detail.items()}
        return {"id": self.id, "kind": self.kind, "methods": [*self.methods], **when, **detail, "hits": self.hits}


class Faults:
    """The faults of one sandbox. Any thread may call it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._last = 0

    @property
    def all(self) -> list[Fault]:
        """Every fault, in the order in which they were set."""
        with self._lock:
            return list(self._faults)

    def add(
        self,
        kind: str,
        *,
        methods: str | Iterable[str] | None,
        detail: Mapping[str, Any],
        since: int,
        **when: Any,
    ) -> Fault:
        """Set a fault; ``since`` is the store's moment of now, and ``when`` goes to :class:`Fault` as it is."""
        fault = Fault(kind, *_checked(kind, methods, detail), since=since, _remove=self._remove, **when)
        for name, least in (("every", 1), ("count", 1), ("first", 1), ("after", 0)):
            number = getattr(fault, name)
            if number is not None and (not isinstance(number, int) or isinstance(number, bool) or number < least):
                raise ValueError(f"{name} of a fault must be a whole number from {least}, not {number!r}")
        if fault.probability is not None and not _is_number(fault.probability, 0, 1):
            raise ValueError(f"probability of a fault must be a number from 0 to 1, not {fault.probability!r}")
        if fault.detail.get("per_second") is not None:
            fault.bucket = Bucket(fault.detail["per_second"], fault.detail["burst"])
        with self._lock:
            self._last += 1
            fault.id = self._last
            self._faults.append(fault)
        return fault

    def _remove(self, fault: Fault) -> None:
        with self._lock:
            if fault in self._faults:
                self._faults.remove(fault)

    def clear(self) -> None:
        """Take every fault away."""
        with self._lock:
            self._faults.clear()

    def meeting(self, method: str, keys: Collection[str]) -> list[Fault]:
        """The faults that hit this call, in the order in which they were set."""
        met: list[Fault] = []
        with self._lock:
            ended = False
            for fault in self._faults:
                ends = KINDS[fault.kind].ends
                if not (ends and ended) and fault.meets(method, keys):
                    met.append(fault)
                    ended = ended or ends
        return met


def _is_number(value: object, least: float, most: float) -> bool:
    # Not a number is not between two numbers either.
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most


def _checked(
    kind: str, methods: str | Iterable[str] | None, detail: Mapping[str, Any]
) -> tuple[tuple[str, ...], Mapping[str, Any]]:
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"There is no fault {kind!r}; the faults are {', '.join(KINDS)}")
    known = KINDS[kind]
    if unknown := set(detail) - set(known.detail):
        raise ValueError(f"The fault {kind} knows no {', '.join(sorted(unknown))}")
    full = {**known.detail, **detail}
    if missing := [name for name, value in full.items() if value is _REQUIRED]:
        raise ValueError(f"The fault {kind} needs {', '.join(missing)}")
    for name in full.keys() & _NUMBERS:
        value = full[name]
        least = _LEAST.get(name, 0)
        if value is None and known.detail[name] is None:
            continue
        if not _is_number(value, least, _MOST):
            raise ValueError(f"{name} of the fault {kind} must be a number from {least}, not {value!r}")
    if "status" in full and not 400 <= full["status"] <= 599:
        raise ValueError(f"status of the fault {kind} must be an HTTP error from 400 to 599, not {full['status']!r}")
    for name in full.keys() & {"code", "location"}:
        value = full[name]
        if (value is not None or known.detail[name] is _REQUIRED) and not (
            isinstance(value, str) and value.isascii() and value.isprintable()
        ):
            raise ValueError(f"{name} of the fault {kind} must be plain text, not {value!r}")
    if not isinstance(full.get("applied", False), bool):
        raise ValueError(f"applied of the fault {kind} must be true or false, not {full['applied']!r}")
    if "keys" in full:
        full["keys"] = frozenset(_texts("keys", full["keys"]))
    if methods is None:
        chosen = tuple(method for method in GROUP_METHODS if method in known.methods)
    else:
        chosen = _texts("methods", methods)
        if wrong := [method for method in chosen if method not in known.methods]:
            raise ValueError(f"The fault {kind} cannot hit {', '.join(wrong)}; it may hit {', '.join(known.methods)}")
    return chosen, full


def _texts(name: str, value: object) -> tuple[str, ...]:
    """One text, or several."""
    texts = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Iterable) else (None,)
    if not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{name} of a fault must be a text or a list of texts, not {value!r}")
    return texts


def parse_fault(text: str) -> dict[str, Any]:
    """The arguments of ``Sandbox.fail`` for ``KIND[:key=value,…]``; ``methods`` and ``keys`` are parted by ``/``."""
    kind, _, rest = text.partition(":")
    arguments: dict[str, Any] = {"kind": kind}
    for part in filter(None, rest.split(",")):
        name, equals, value = part.partition("=")
        if not equals or name == "kind":
            raise ValueError(f"A fault is written KIND:key=value,key=value, not {text!r}")
        arguments[name] = value.split("/") if name in ("methods", "keys") else _parsed(value)
    return arguments


def _parsed(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text
