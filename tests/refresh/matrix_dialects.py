"""The cases of the dialect matrix: every way in which a real Afilnet might answer or store, and how a refresh ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from airflow_provider_afilnet.sandbox.dialect import TRUNCATED_LENGTH, Dialect, dialects_of

WRITING = ("insert", "update", "upsert", "mirror")
"""The modes that store values."""

OTHER_STYLES = ("soap_operations", "soap_answer", "oauth_client", "oauth_life")
"""They shape how a call is carried, not what it says or stores; they have tests in the floor of the API."""

VALUES = ("stored_key", "stored_value", "numbers", "missing_contact_code", "bulk_dedupes")
"""They have cases of their own below."""

PLAIN = "Ana"
MISSING_CODES = ("NOT_ACCESS_TO_GROUP", "NOT_ACCESS_TO_CONTACT", "CONTACT_NOT_EXISTS", "SOME_CODE_OF_TOMORROW")
HIT = {
    "as-sent": f"  Ana <b> & {'x' * TRUNCATED_LENGTH}",
    "trim": "  Ana ",
    "html": "Ana <b> & 'Ben'",
    "truncate": "A" + "x" * TRUNCATED_LENGTH,
}
"""How the dialect stores a value, and a value that is hit by it."""


Red = Mapping[str, tuple[str, str | None]]


@dataclass(frozen=True)
class Case:
    """One dialect, and what is refreshed in it.

    ``red``: mode to what the errors of the first and of the second run must say, where ``None`` is green; in every
    other mode both must be green. ``fault``: one of the sandbox, which brings the dialect's choice to light.
    """

    name: str
    dialect: Mapping[str, Any]
    red: Red = field(default_factory=dict)
    value: str = PLAIN
    country: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    fault: Mapping[str, Any] | None = None

    def __str__(self) -> str:
        return self.name


def _twice(says: str, modes: tuple[str, ...]) -> Red:
    return dict.fromkeys(modes, (says, says))


CHANGING = ("update", "upsert", "mirror", "remove")
RED_SHAPES: Mapping[str, Red] = {
    # Whom to change or delete cannot be said.
    "no-ids": _twice("the group's answer gives no contact ids.* only mode 'insert' can", CHANGING),
    # An id that is a position belongs to nobody, or to somebody else.
    "positional": _twice("getcontact of id .* so ids are not what they seem", CHANGING),
}

DIFFERS: Red = {
    **_twice("name: its value still differs after it was written", WRITING),
    # Who is there is not looked at again in this mode.
    "insert": ("name: its value still differs after it was written", None),
}
_UNREAD = "'mobile' that cannot be read.*default_region"
UNREADABLE: Red = dict.fromkeys(
    (*WRITING, "insert"), (rf"\b\d contacts that were not there before have a {_UNREAD}", _UNREAD)
)


def cases() -> Iterator[Case]:
    for one in fields(Dialect):
        if one.name in (*VALUES, *OTHER_STYLES):
            continue
        for value in dialects_of(one.name):
            red: Red = RED_SHAPES.get(value, {}) if one.name == "contacts" else {}
            yield Case(f"{one.name}={value}", {one.name: value}, red)
            if one.name != "contacts" and value != one.default:
                # A shape inside another shape.
                yield Case(f"{one.name}={value}, keyed", {one.name: value, "contacts": "keyed"})
    yield from _of_missing_contacts()
    yield from _of_numbers()
    yield from _of_keys()
    yield from _of_values()


def _of_missing_contacts() -> Iterator[Case]:
    """A deletion whose answer is lost is sent again, and finds nobody."""
    for code in MISSING_CODES:
        fault = {"kind": "drop_after", "methods": "deletecontact", "count": 1}
        yield Case(f"missing_contact_code={code}", {"missing_contact_code": code}, fault=fault)


def _of_numbers() -> Iterator[Case]:
    for value in dialects_of("numbers"):
        yield Case(f"numbers={value}", {"numbers": value}, value="7")
        red: Red = DIFFERS if value == "number" else {}
        yield Case(f"numbers={value}, leading zeros", {"numbers": value}, red, value="007")


def _of_keys() -> Iterator[Case]:
    for country in (None, "esp"):
        for region in (None, "ES"):
            for stored in dialects_of("stored_key"):
                cut = stored == "national" and country is not None
                red: Red = UNREADABLE if cut and region is None else {}
                name = f"stored_key={stored}, country {country}, default_region {region}"
                yield Case(name, {"stored_key": stored}, red, country=country, options={"default_region": region})


def _of_values() -> Iterator[Case]:
    for stored in dialects_of("stored_value"):
        dialect = {"stored_value": stored}
        yield Case(f"stored_value={stored}, not hit", dialect)
        red: Red = {} if stored == "as-sent" else DIFFERS
        yield Case(f"stored_value={stored}, hit", dialect, red, value=HIT[stored])
        lossy = {"lossy_fields": "name"}
        yield Case(f"stored_value={stored}, hit and lossy", dialect, value=HIT[stored], options=lossy)
