"""What is wrong with a group: its contacts compared with the rows that it must hold, value by value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from benchmarks.rows import FIELDS

_BETWEEN = "\x1f"


@dataclass(frozen=True)
class Differences:
    """How a group differs from the source.

    ``missing``: keys of the source that no contact has. ``stale``: keys of contacts that the source lacks. ``wrong``:
    keys with a contact whose values differ from the source's. ``doubled``: contacts beyond the first of their key.
    """

    missing: int
    stale: int
    wrong: int
    doubled: int


def compare(wanted: Iterable[tuple[str, ...]], held: Iterable[Mapping[str, str]]) -> Differences:
    """Compare the rows of the query with the contacts of the group, in any order.

    :param wanted: rows in the order of :data:`benchmarks.rows.FIELDS`, each key once.
    :param held: contacts by field name; a field without a value may be absent.
    """
    rest = FIELDS[1:]
    expected = {key: _BETWEEN.join(values) for key, *values in wanted}
    seen: set[str] = set()
    wrong: set[str] = set()
    contacts = 0
    for contact in held:
        contacts += 1
        key = contact[FIELDS[0]]
        seen.add(key)
        values = expected.get(key)
        if values is not None and values != _BETWEEN.join(contact.get(name, "") for name in rest):
            wrong.add(key)
    present = len(seen & expected.keys())
    return Differences(
        missing=len(expected) - present, stale=len(seen) - present, wrong=len(wrong), doubled=contacts - len(seen)
    )
