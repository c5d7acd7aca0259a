"""Decode the contacts of a long list a slice at a time, several times as fast as one event after the other.

A slice is cut behind a closing brace and decoded as a list of its own. A cut inside a text or inside a contact cannot
be decoded, since the text or the contact stays open; so a slice that can be is a run of whole contacts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Final, NamedTuple

import msgspec

from airflow_provider_afilnet.api.answers import ID_NAMES, ContactRecord, read_record

_CUTS: Final = 4
"""So many closing braces from the end are tried: the last may stand in a text, or close what stands in a contact."""

_Scalar = str | int | None
_any_form = msgspec.json.Decoder(list[dict[str, _Scalar | dict[str, _Scalar]]]).decode
_BLANKS: Final = b" \t\r\n"
_COMMA: Final = re.compile(rb"\s*,\s*(?=\{)")
_Id = Annotated[str, msgspec.Meta(min_length=1)]
_FEW: Final = 3
"""After so many slices of another form each slice is decoded for any."""


class ContactTable(NamedTuple):
    """Contacts with the same fields in the same order; each row is the id, or ``None``, and a text for each name."""

    names: tuple[str, ...]
    rows: list[tuple[str | None, ...]]

    def records(self) -> Iterator[ContactRecord]:
        """The contacts one by one."""
        for record_id, *texts in self.rows:
            yield ContactRecord(record_id, dict(zip(self.names, texts, strict=True)))  # type: ignore[arg-type]


class ContactSlicer:
    """Takes contacts off the front of the inside of a list.

    :param size: bytes that are decoded at once, more or less.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._waiting = bytearray()
        self._begun = False
        self._names: tuple[str, ...] = ()
        self._decode: Callable[[bytes], list[Any]] | None = None
        self._rows: Callable[[list[Any]], list[tuple[str | None, ...]]] = _rows_of_texts
        self._misses = 0
        self.ended = False

    def feed(self, chunk: bytes) -> list[ContactTable]:
        """Take the next bytes; once ``ended`` is set, what is left of them is in :meth:`rest`.

        :return: the contacts that became complete.
        :raises UnknownFormError: if a contact has an unknown form.
        """
        self._waiting += chunk
        if len(self._waiting) < self._size:
            return []
        comma = _COMMA.match(self._waiting)
        begins = comma.end() if comma and self._begun else 0
        if self._begun and not comma:
            self.ended = True
            return []
        ends = len(self._waiting)
        for _ in range(_CUTS):
            ends = self._waiting.rfind(b"}", begins, ends)
            if ends < 0:
                break
            try:
                found = self._tables(b"[" + self._waiting[begins : ends + 1] + b"]")
            except msgspec.ValidationError:
                break
            except (msgspec.DecodeError, ValueError):
                continue
            del self._waiting[: ends + 1]
            self._begun = True
            return found
        self.ended = True
        return []

    def rest(self) -> bytes:
        """What was not decoded, as it may follow the opening bracket of a list.

        :raises ValueError: if that is no JSON.
        """
        rest, self._waiting = bytes(self._waiting), bytearray()
        if not self._begun:
            return rest
        stripped = rest.lstrip(_BLANKS)
        if stripped.startswith(b","):
            stripped = stripped[1:].lstrip(_BLANKS)
            if not stripped.startswith(b"]"):
                return stripped
        elif stripped.startswith(b"]") or not stripped:
            return stripped
        raise ValueError

    def _tables(self, data: bytes) -> list[ContactTable]:
        """Decode a slice, at best as contacts of the same form as those before.

        :raises msgspec.DecodeError: if it is no list of whole contacts.
        """
        if self._decode is not None:
            try:
                return [ContactTable(self._names, self._rows(self._decode(data)))]
            except msgspec.ValidationError:
                self._misses += 1
                if self._misses >= _FEW:
                    self._decode = None
        tables = tables_of(map(read_record, _any_form(data)))
        if self._decode is None and self._misses < _FEW and len(tables) == 1:
            self._expect(data)
        return tables

    def _expect(self, data: bytes) -> None:
        """From now on expect contacts of the form of the first one, if it is a plain one: texts only, and one id."""
        first = next(iter(_any_form(data)), {})
        ids = [name for name in first if name.lower() in ID_NAMES]
        if len(ids) != 1:
            return
        self._names = tuple(name for name in first if name != ids[0])
        if not all(type(first[name]) is str for name in self._names):
            return
        of_number = type(first[ids[0]]) is int
        self._rows = _rows_with_number if of_number else _rows_of_texts
        keys = {f"f{place}": name for place, name in enumerate((*ids, *self._names))}
        form = msgspec.defstruct(
            "Contact",
            [(place, str if place != "f0" else int if of_number else _Id) for place in keys],
            rename=keys,
            forbid_unknown_fields=True,
            gc=False,
        )
        self._decode = msgspec.json.Decoder(list[form]).decode  # type: ignore[valid-type]


def _rows_of_texts(found: list[Any]) -> list[tuple[str | None, ...]]:
    return list(map(msgspec.structs.astuple, found))


def _rows_with_number(found: list[Any]) -> list[tuple[str | None, ...]]:
    return [(str(record_id), *texts) for record_id, *texts in map(msgspec.structs.astuple, found)]


def tables_of(records: Iterator[ContactRecord]) -> list[ContactTable]:
    """Contacts as tables, in their order."""
    tables: list[ContactTable] = []
    for record_id, fields in records:
        names = tuple(fields)
        if not tables or tables[-1].names != names:
            tables.append(ContactTable(names, []))
        tables[-1].rows.append((record_id, *fields.values()))
    return tables
