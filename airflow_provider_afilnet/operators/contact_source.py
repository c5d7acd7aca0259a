"""Rows of a refresh from a list, a JSON lines file or a CSV file; files are read as a stream."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import IO, TYPE_CHECKING, Any, Final

from airflow_provider_afilnet.operators.listed import is_listed
from airflow_provider_afilnet.operators.storage import storage_path, storage_told
from airflow_provider_afilnet.refresh.errors import AfilnetSourceError
from airflow_provider_afilnet.refresh.rows import DictRows, RowSource, TableRows

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath


@contextmanager
def open_contacts(
    contacts: Sequence[Mapping[str, Any]] | str | os.PathLike[str] | ObjectStoragePath, *, keep: Iterable[str] = ()
) -> Iterator[RowSource]:
    """Open what a user gave as contacts, without their ids.

    :param contacts: a list of mappings, or a path ending in ``.jsonl`` or ``.csv``.
    :param keep: columns to leave in place: ``idcontact`` is dropped unless it is among them.
    :raises AfilnetSourceError: if it is neither, or, while it is read, if a line of the file cannot be read.
    """
    drop = not any(_is_id(name) for name in keep)
    if is_listed(contacts):
        yield DictRows(_mappings(contacts, drop))
        return
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    if not isinstance(contacts, (str, os.PathLike, ObjectStoragePath)):
        raise AfilnetSourceError(
            f"contacts must be a list of contacts or a path that ends in .jsonl or .csv, not {type(contacts).__name__}."
        )
    if not str(contacts).rstrip().lower().endswith(_ENDINGS):
        # The text might be a whole list that a template turned into text, so it is not shown.
        raise AfilnetSourceError(
            "contacts must be a list of contacts, or a path that ends in .jsonl or .csv; hand on another task's result "
            "as task.output, or set render_template_as_native_obj=True on the DAG."
        )
    path = storage_path(contacts, "contacts")
    with _opened(path) as file:
        if path.suffix.lower() == ".csv":
            yield _csv(file, path.name, drop)
        else:
            yield DictRows(_json_lines(file, path.name, drop))


def _opened(path: ObjectStoragePath) -> IO[str]:
    with storage_told(path, "contacts"):
        try:
            # A byte order mark, which Excel writes, is no part of the first name.
            return path.open("r", encoding="utf-8-sig", newline="")  # type: ignore[no-any-return, no-untyped-call]
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise AfilnetSourceError(f"contacts names {str(path)!r}, and there is no such file.") from None


def _is_id(name: object) -> bool:
    return isinstance(name, str) and name.strip().lower() == "idcontact"


def _without_id(contact: Mapping[str, Any], drop: bool) -> Mapping[str, Any]:
    if not drop or not any(_is_id(name) for name in contact):
        return contact
    return {name: value for name, value in contact.items() if not _is_id(name)}


def _mappings(contacts: Sequence[Any], drop: bool) -> Iterator[Mapping[str, Any]]:
    for number, contact in enumerate(contacts, 1):
        if not isinstance(contact, Mapping):
            raise AfilnetSourceError(
                f"contacts must be a list of mappings of column to value; item {number} is {type(contact).__name__}."
            )
        yield _without_id(contact, drop)


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
            yield _without_id(row, drop)


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


_ENDINGS: Final = (".jsonl", ".csv")


@contextmanager
def _text_told(name: str) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError:
        raise AfilnetSourceError(f"{name} is not UTF-8 text; save it as UTF-8.") from None
