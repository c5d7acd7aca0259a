"""Decode the contacts of a long list a slice at a time, several times as fast as one event after the other.

A slice is cut behind a closing brace and decoded as a list of its own. A cut inside a text or inside a contact cannot
be decoded, since the text or the contact stays open; so a slice that can be is a run of whole contacts.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from airflow_provider_afilnet.api.answers import ID_NAMES, ContactRecord, read_record

_CUTS: Final = 4
"""So many closing braces from the end are tried: the last may stand in a text, or close what stands in a contact."""

_Scalar = str | int | None
_decode = msgspec.json.Decoder(list[dict[str, _Scalar | dict[str, _Scalar]]]).decode
_COMMA: Final = re.compile(rb"\s*,\s*(?=\{)")


class ContactSlicer:
    """Takes contacts off the front of the inside of a list.

    :param size: bytes that are decoded at once, more or less.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._waiting = bytearray()
        self._begun = False
        self._id_names: dict[tuple[str, ...], str | None] = {}
        self.ended = False

    def feed(self, chunk: bytes) -> list[ContactRecord]:
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
                found = _decode(b"[" + self._waiting[begins : ends + 1] + b"]")
            except msgspec.ValidationError:
                break
            except (msgspec.DecodeError, ValueError):
                continue
            del self._waiting[: ends + 1]
            self._begun = True
            return [self._record(contact) for contact in found]
        self.ended = True
        return []

    def rest(self) -> bytes:
        """What was not decoded, as it may follow the opening bracket of a list.

        :raises ValueError: if that is no JSON.
        """
        rest, self._waiting = bytes(self._waiting), bytearray()
        if not self._begun:
            return rest
        comma = _COMMA.match(rest)
        if comma:
            return rest[comma.end() :]
        if rest.strip() and not rest.lstrip().startswith(b"]"):
            raise ValueError
        return rest

    def _record(self, contact: dict[str, Any]) -> ContactRecord:
        names = tuple(contact)
        if names not in self._id_names:
            self._id_names[names] = _only_id_name(names)
        id_name = self._id_names[names]
        if id_name is None:
            return read_record(contact)
        record_id = contact.pop(id_name)
        try:
            "".join(contact.values())
        except TypeError:
            return read_record({id_name: record_id, **contact})
        if isinstance(record_id, int):
            record_id = str(record_id)
        if not record_id:
            return read_record({id_name: record_id, **contact})
        return ContactRecord(record_id, contact)


def _only_id_name(names: tuple[str, ...]) -> str | None:
    """The name of the id, if there is one and only one."""
    found = [name for name in names if name.lower() in ID_NAMES]
    return found[0] if len(found) == 1 else None
