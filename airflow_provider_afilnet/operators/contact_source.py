"""Rows of a refresh from a list, a JSON lines file or a CSV file; files are read as a stream."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from airflow_provider_afilnet.operators.listed import is_listed
from airflow_provider_afilnet.operators.storage import storage_path, storage_told
from airflow_provider_afilnet.refresh.errors import AfilnetSourceError
from airflow_provider_afilnet.refresh.row_files import ENCODING, ENDINGS, drops_id, rows_of_file, without_id
from airflow_provider_afilnet.refresh.rows import DictRows, RowSource

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
    keep = tuple(keep)
    if is_listed(contacts):
        yield DictRows(_mappings(contacts, drops_id(keep)))
        return
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    if not isinstance(contacts, (str, os.PathLike, ObjectStoragePath)):
        raise AfilnetSourceError(
            f"contacts must be a list of contacts or a path that ends in .jsonl or .csv, not {type(contacts).__name__}."
        )
    if not str(contacts).rstrip().lower().endswith(ENDINGS):
        # The text might be a whole list that a template turned into text, so it is not shown.
        raise AfilnetSourceError(
            "contacts must be a list of contacts, or a path that ends in .jsonl or .csv; hand on another task's result "
            "as task.output, or set render_template_as_native_obj=True on the DAG."
        )
    path = storage_path(contacts, "contacts")
    with _opened(path) as file:
        yield rows_of_file(file, path.name, keep=keep)


def _opened(path: ObjectStoragePath) -> IO[str]:
    with storage_told(path, "contacts"):
        try:
            # Not path.open: what that gives on Airflow 3.0 cannot be read line by line.
            return path.fs.open(path.path, "r", encoding=ENCODING, newline="")  # type: ignore[no-any-return]
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise AfilnetSourceError(f"contacts names {str(path)!r}, and there is no such file.") from None


def _mappings(contacts: Sequence[Any], drop: bool) -> Iterator[Mapping[str, Any]]:
    for number, contact in enumerate(contacts, 1):
        if not isinstance(contact, Mapping):
            raise AfilnetSourceError(
                f"contacts must be a list of mappings of column to value; item {number} is {type(contact).__name__}."
            )
        yield without_id(contact, drop)
