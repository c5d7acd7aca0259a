"""The cases of the fault matrices: which variants of each fault there are, and where in a run each may hit."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_afilnet.sandbox.faults import KINDS

LONG = bool(os.environ.get("AFILNET_LONG"))
SIZE = 200 if LONG else 36
# The last batch, behind three probes, must hold more than the two contacts that are too large for some faults.
BATCH = 13 if LONG else 4
GONE = 8
TIMEOUT = 0.3
SETTLE = 0.1
SHORT_WAIT, LONG_WAIT = 0.05, 0.45
"""Seconds by which an answer is late: within the time-out, and beyond it."""

METHODS = (
    "getgroupcolumns",
    "addcolumntogroup",
    "getcontacts",
    "getcontact",
    "addcontact",
    "addcontactlist",
    "modifycontact",
    "deletecontact",
)
"""What a refresh calls; ``addcolumntogroup`` with ``unknown_columns="create"``."""

SOURCES = ("sqlite", "postgres")
STYLES = ("post", "get") if LONG else ("post",)

# --- people whose every value can be searched for --------------------------------------------------------------------

TRACES = {"phone": "655198", "name": "Zoraida", "mail": "quxbury", "city": "Torrelaguna"}
"""A part of every value of that kind, which stands nowhere else; masking a value whole breaks it."""

COLUMNS = ("mobile", "name", "mail")
CREATED = ("city", "tier")
"""Columns that the group lacks and the source has."""


def phone(number: int) -> str:
    return f"34{TRACES['phone']}{number:03d}"


def person(number: int, name: str = TRACES["name"], **more: str) -> dict[str, str]:
    return {
        "mobile": phone(number),
        "name": f"{name} {number}",
        "mail": f"someone{number}@{TRACES['mail']}.example",
        **more,
    }


def before() -> list[dict[str, str]]:
    """Who is in the group at first."""
    return [person(number) for number in range(SIZE)]


def wanted() -> list[dict[str, str]]:
    """A third is equal, a third and more is changed, ``GONE`` are not wanted any more, a half more is new."""
    equal = [person(number) for number in range(SIZE // 3)]
    changed = [
        person(number, f"{TRACES['name']} Nueva", city=f"{TRACES['city']} {number}", tier="gold")
        for number in range(SIZE // 3, SIZE - GONE)
    ]
    new = [person(number, city=f"{TRACES['city']} {number}") for number in NEW]
    return [*equal, *changed, *new]


NEW = range(SIZE, SIZE + SIZE // 2)
NEW_KEYS = tuple(phone(number) for number in NEW)

# --- faults ----------------------------------------------------------------------------------------------------------

SPOTS = ("first", "second", "last")


@dataclass(frozen=True)
class Variant:
    """One form of a fault, and the spots at which it is tried."""

    detail: Mapping[str, Any] = field(default_factory=dict)
    spots: tuple[str, ...] = SPOTS


def _every(**detail: Any) -> Variant:
    """A fault that lasts for the whole run is tried, too."""
    return Variant(detail, (*SPOTS, "each"))


VARIANTS: Mapping[str, tuple[Variant, ...]] = {
    "latency": (Variant({"seconds": SHORT_WAIT}), Variant({"seconds": LONG_WAIT})),
    "http_500": (Variant({"status": 500}), Variant({"status": 503, "retry_after": 0.05})),
    # An hour is longer than a refresh waits in place.
    "rate_limited": (Variant(), Variant({"retry_after": 0.05}), Variant({"retry_after": 3600})),
    "html": (Variant({"applied": False}), Variant({"applied": True})),
    "garbled": (Variant({"applied": False}), Variant({"applied": True})),
    "drop_before": (Variant(),),
    "drop_after": (Variant(),),
    "late": (Variant({"seconds": SHORT_WAIT}), Variant({"seconds": LONG_WAIT})),
    "error": tuple(
        Variant({"code": code})
        for code in (
            "SOME_REASON",
            "NOT_ACCESS_TO_GROUP",
            "NOT_ACCESS_TO_CONTACT",
            "CONTACT_EXISTS",
            "MISSING_COMPULSORY_PARAM",
            "INCORRECT_USER_PASSWORD",
        )
    ),
    "redirect": (Variant({"location": "https://elsewhere.example/?q=1"}),),
    "capped_read": (_every(limit=SIZE // 2), _every(limit=0)),
    "null_read": (_every(),),
    "absent_read": (_every(),),
    "stale_read": (_every(), Variant({"seconds": 0.2})),
    "hide": (_every(keys=[phone(number) for number in range(10, 20)]), _every(keys=NEW_KEYS[:3])),
    "refuse_row": (Variant({"keys": NEW_KEYS}), Variant({"keys": NEW_KEYS[4:5]}, ("first", "each"))),
    "lose_row": (_every(keys=NEW_KEYS),),
    "too_large": (_every(rows=2), _every(rows=2, status=414), _every(rows=2, code="MISSING_COMPULSORY_PARAM")),
}
"""Kind of fault to its variants. A kind without one would not be tested, so there is a test that compares."""


@dataclass(frozen=True)
class Case:
    """One run of a task under one fault, and one without it afterwards. ``report``: the first has a report folder."""

    kind: str
    detail: Mapping[str, Any]
    method: str
    spot: str
    when: Mapping[str, int]
    bulk_dedupes: bool
    source: str
    style: str
    report: bool

    def __str__(self) -> str:
        shown = {name: f"{len(value)} keys" if name == "keys" else value for name, value in self.detail.items()}
        return (
            f"{self.kind} {shown} at {self.spot} {self.method} from {self.source} by {self.style}"
            f"{', bulk dedupes' if self.bulk_dedupes else ''}"
        )

    @property
    def lands_after(self) -> float:
        """Seconds after which a write that this fault delays has surely been applied."""
        return float(self.detail["seconds"]) if self.kind in ("late", "latency") else 0.0


def cases_of(method: str, calls: int) -> Iterator[Case]:
    """Every case that hits ``method``, of which a healthy run makes ``calls`` calls.

    Where that is one call, "every second" would never hit and "last" is "first". The source alternates, so that each
    fault at each spot meets both.
    """
    number = 0
    for kind, variants in VARIANTS.items():
        if method not in KINDS[kind].methods:
            continue
        for variant in variants:
            spots = [*variant.spots, "each"] if LONG and "each" not in variant.spots else variant.spots
            for spot in spots:
                if calls == 1 and spot in ("second", "last"):
                    continue
                number += 1
                for bulk_dedupes in (False, True):
                    for shift, style in enumerate(STYLES):
                        source = SOURCES[(number + bulk_dedupes + shift) % 2]
                        when, report = _when(spot, calls), bool(number // 2 % 2)
                        yield Case(kind, variant.detail, method, spot, when, bulk_dedupes, source, style, report)


def _when(spot: str, calls: int) -> dict[str, int]:
    if spot == "first":
        return {"count": 1}
    if spot == "second":
        # A short run is over soon; in a long one it never ends.
        return {"every": 2} if LONG else {"every": 2, "count": 3}
    return {"count": 1, "after": calls - 1} if spot == "last" else {}
