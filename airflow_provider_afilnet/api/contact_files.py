"""Contacts as JSON lines or CSV, written as a stream into a file that somebody else opens and closes."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import IO, Final

from airflow_provider_afilnet.api.errors import AfilnetUnreadableAnswerError

ID: Final = "idcontact"

Rows = Iterable[Mapping[str, str]]
"""Contacts, each with its id under ``idcontact``."""


def write_jsonl(file: IO[bytes], contacts: Rows) -> int:
    """Write one JSON object a line.

    :return: how many.
    """
    count = 0
    for contact in contacts:
        file.write(json.dumps(contact, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n")
        count += 1
    return count


def write_csv(
    file: IO[bytes], columns: Iterable[str], contacts: Rows, *, shown: Callable[[str], str] | None = None
) -> int:
    """Write a header and one record a contact, blank where it has no value.

    :param columns: the group's columns; the id comes before them.
    :param shown: what becomes of a name or a value; by default nothing.
    :return: how many contacts.
    :raises AfilnetUnreadableAnswerError: as :func:`in_columns`.
    """
    shown = shown or str
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    try:
        writer = csv.writer(text)
        names = header(columns)
        writer.writerow(map(shown, names))
        count = 0
        for values in in_columns(names, contacts):
            writer.writerow(map(shown, values))
            count += 1
        return count
    finally:
        text.detach()


def header(columns: Iterable[str]) -> list[str]:
    """The names of the columns of a file: the id, and the group's."""
    return [ID, *(name for name in columns if name.lower() != ID)]


def in_columns(names: list[str], contacts: Rows) -> Iterator[list[str]]:
    """Each contact as values in the order of ``names``, blank where it has none.

    :raises AfilnetUnreadableAnswerError: if a contact has a field that is no column; the file could not hold it.
    """
    places = {name.lower(): place for place, name in enumerate(names)}
    for contact in contacts:
        values = [""] * len(names)
        for field, value in contact.items():
            place = places.get(field.lower())
            if place is None:
                raise AfilnetUnreadableAnswerError(
                    f"getcontacts answered a contact with the field {field!r}, which getgroupcolumns does not name, so "
                    "it has no column in the file; write JSON lines (.jsonl) instead.",
                    method="getcontacts",
                )
            values[place] = value
        yield values
