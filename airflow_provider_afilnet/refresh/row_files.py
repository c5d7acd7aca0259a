"""Rows out of a JSON lines or CSV file, read as a stream. Where the file comes from is the caller's business."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import IO, Any, Final

from airflow_provider_afilnet.refresh.errors import AfilnetSourceError
from airflow_provider_afilnet.refresh.rows import DictRows, RowSource, TableRows

ENDINGS: Final = (".jsonl", ".csv")
"""How the name of a file ends that :func:`rows_of_file` can read."""

ENCODING: Final = "utf-8-sig"
"""How to open such a file, with ``newline=""``. A byte order mark, which Excel writes, is no part of the first name."""


def rows_of_file(file: IO[str], name: str, *, keep: Iterable[str] = ()) -> RowSource:
    """The rows of an open file, without ``idcontact``, so that an export can be fed back.

    :param name: the file's name: its ending says what it holds, and messages show it.
    :param keep: columns to leave in place: ``idcontact`` is dropped unless it is among them.
    :raises AfilnetSourceError: here or while the rows are read, naming the line that cannot be read.
    """
    drop = drops_id(keep)
    if name.lower().endswith(".csv"):
        return _csv(file, name, drop)
    return DictRows(_json_lines(file, name, drop))


def drops_id(keep: Iterable[str]) -> bool:
    """Whether ``idcontact`` is to be dropped: unless the user names it among the columns to keep."""
    return not any(_is_id(name) for name in keep)


def _is_id(name: object) -> bool:
    return isinstance(name, str) and name.strip().lower() == "idcontact"


def without_id(contact: Mapping[str, Any], drop: bool) -> Mapping[str, Any]:
    """The contact, less its id if ``drop``."""
    if not drop or not any(_is_id(name) for name in contact):
        return contact
    return {name: value for name, value in contact.items() if not _is_id(name)}


def _json_lines(file: IO[str], name: str, drop: bool) -> Iterator[Mapping[str, Any]]:
    with _text_told(name):
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                # A float would round the number as it was written.
                row = json.loads(line, parse_float=Decimal)
            except (ValueError, RecursionError):
                row = None
            if not isinstance(row, dict):
                raise AfilnetSourceError(f"{name}, line {number}: not a JSON object; correct the file.")
            yield without_id(row, drop)


def _csv(file: IO[str], name: str, drop: bool) -> TableRows:
    reader = csv.reader(file, strict=True)
    with _text_told(name):
        try:
            columns = next(reader, None)
        except csv.Error:
            columns = None
    if not columns or not all(column.strip() for column in columns):
        raise AfilnetSourceError(f"{name}: the first line must name every column; correct the file.")
    rows = _csv_rows(reader, name, len(columns))
    kept = [place for place, column in enumerate(columns) if not (drop and _is_id(column))]
    if len(kept) == len(columns):
        return TableRows(columns, rows)
    return TableRows([columns[place] for place in kept], ([row[place] for place in kept] for row in rows))


def _csv_rows(reader: Any, name: str, width: int) -> Iterator[Sequence[str]]:
    with _text_told(name):
        try:
            for row in reader:
                if not row:
                    continue
                if len(row) != width:
                    raise AfilnetSourceError(
                        f"{name}, line {reader.line_num}: {len(row)} values for {width} columns; correct the file."
                    )
                yield row
        except csv.Error as error:
            raise AfilnetSourceError(f"{name}, line {reader.line_num}: {error}; correct the file.") from None


@contextmanager
def _text_told(name: str) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError:
        raise AfilnetSourceError(f"{name} is not UTF-8 text; save it as UTF-8.") from None
