"""Rows of a refresh from a list, a JSON lines file or a CSV file; files are read as a stream."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import IO, TYPE_CHECKING, Any

from airflow_provider_afilnet.operators.storage import storage_path
from airflow_provider_afilnet.refresh.errors import AfilnetSourceError
from airflow_provider_afilnet.refresh.rows import DictRows, RowSource, TableRows

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath


@contextmanager
def open_contacts(contacts: Sequence[Mapping[str, Any]] | str | ObjectStoragePath) -> Iterator[RowSource]:
    """Open what a user gave as contacts.

    :param contacts: a list of mappings, or a path ending in ``.jsonl`` or ``.csv``.
    :raises AfilnetSourceError: if it is neither, or, while it is read, if a line of the file cannot be read.
    """
    if isinstance(contacts, (list, tuple)):
        yield DictRows(_mappings(contacts))
        return
    if isinstance(contacts, Mapping) or (isinstance(contacts, str) and not contacts.rstrip().endswith(_ENDINGS)):
        # The text might be a whole list that a template turned into text, so it is not shown.
        raise AfilnetSourceError(
            "contacts must be a list of mappings, or a path that ends in .jsonl or .csv; hand on another task's result "
            "as task.output, or set render_template_as_native_obj=True on the DAG."
        )
    path = storage_path(contacts, "contacts")
    # A byte order mark, which Excel writes, is no part of the first name.
    with path.open("r", encoding="utf-8-sig", newline="") as file:  # type: ignore[no-untyped-call]
        yield _csv(file, path.name) if path.suffix == ".csv" else DictRows(_json_lines(file, path.name))


_ENDINGS = (".jsonl", ".csv")


def _mappings(contacts: Sequence[Any]) -> Iterator[Mapping[str, Any]]:
    for number, contact in enumerate(contacts, 1):
        if not isinstance(contact, Mapping):
            raise AfilnetSourceError(
                f"contacts must be a list of mappings of column to value; item {number} is {type(contact).__name__}."
            )
        yield contact


def _json_lines(file: IO[str], name: str) -> Iterator[Mapping[str, Any]]:
    with _text_told(name):
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                # A float would round the number as it was written.
                row = json.loads(line, parse_float=Decimal)
            except ValueError:
                row = None
            if not isinstance(row, dict):
                raise AfilnetSourceError(f"{name}, line {number}: not a JSON object; correct the file.")
            yield row


def _csv(file: IO[str], name: str) -> TableRows:
    reader = csv.reader(file, strict=True)
    with _text_told(name):
        try:
            columns = next(reader, None)
        except csv.Error:
            columns = None
    if not columns or not all(column.strip() for column in columns):
        raise AfilnetSourceError(f"{name}: the first line must name every column; correct the file.")
    return TableRows(columns, _csv_rows(reader, name, len(columns)))


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
