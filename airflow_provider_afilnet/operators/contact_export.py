"""Write a group's contacts to a file, streamed: JSON lines, CSV or Parquet."""

from __future__ import annotations

import csv
import io
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import IO, TYPE_CHECKING, Final

from airflow_provider_afilnet.api.errors import AfilnetConfigurationError, AfilnetUnreadableAnswerError
from airflow_provider_afilnet.operators.storage import storage_told

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

_ID: Final = "idcontact"
_ROW_GROUP: Final = 10_000

Rows = Iterable[Mapping[str, str]]
Writer = Callable[[IO[bytes], list[str], Rows], int]


def writer_for(path: ObjectStoragePath) -> Writer:
    """The writer for the ending of the path's name.

    :raises AfilnetConfigurationError: for any other ending, and for ``.parquet`` without pyarrow.
    """
    ending = path.suffix.lower()
    if ending not in _WRITERS:
        raise AfilnetConfigurationError(
            f"output_path must end in {', '.join(_WRITERS)}, which chooses the format, not in {ending or 'nothing'!r}."
        )
    if ending == ".parquet":
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError:
            raise AfilnetConfigurationError(
                "An output_path ending in .parquet needs pyarrow: install it with "
                "pip install 'airflow-provider-afilnet[parquet]', or use .csv or .jsonl."
            ) from None
    return _WRITERS[ending]


def export(path: ObjectStoragePath, write: Writer, columns: list[str], contacts: Rows) -> int:
    """Write the contacts to ``path``, over whatever is there, and return how many.

    They are spooled to a local temporary file first, so that a read that fails half-way touches nothing at ``path``. A
    folder that does not exist is made.

    :param write: from :func:`writer_for`.
    :param columns: the group's columns; used by the formats that need them beforehand.
    """
    with tempfile.TemporaryFile() as spool:
        count = write(spool, [_ID, *(name for name in columns if name.lower() != _ID)], contacts)
        spool.seek(0)
        with storage_told(path, "output_path"):
            target = _opened(path)
            try:
                with target:
                    shutil.copyfileobj(spool, target, 1 << 20)
            except BaseException:
                path.unlink(missing_ok=True)
                raise
    return count


def _opened(path: ObjectStoragePath) -> IO[bytes]:
    """Open for writing; the folder is made only where its absence shows, since object storages have no folders."""
    try:
        return path.open("wb")  # type: ignore[no-any-return, no-untyped-call]
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("wb")  # type: ignore[no-any-return, no-untyped-call]


def _write_jsonl(file: IO[bytes], columns: list[str], contacts: Rows) -> int:
    count = 0
    for contact in contacts:
        file.write(json.dumps(contact, ensure_ascii=False).encode() + b"\n")
        count += 1
    return count


def _write_csv(file: IO[bytes], columns: list[str], contacts: Rows) -> int:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    try:
        writer = csv.writer(text)
        writer.writerow(columns)
        count = 0
        for values in _in_columns(columns, contacts):
            writer.writerow(values)
            count += 1
        return count
    finally:
        text.detach()


def _write_parquet(file: IO[bytes], columns: list[str], contacts: Rows) -> int:
    import pyarrow
    import pyarrow.parquet

    schema = pyarrow.schema([(name, pyarrow.string()) for name in columns])
    rows = _in_columns(columns, contacts)
    count = 0
    with pyarrow.parquet.ParquetWriter(file, schema) as writer:
        while part := list(islice(rows, _ROW_GROUP)):
            writer.write_table(pyarrow.table([list(values) for values in zip(*part, strict=True)], schema=schema))
            count += len(part)
    return count


def _in_columns(columns: list[str], contacts: Rows) -> Iterator[list[str]]:
    """Each contact as values in the order of ``columns``, blank where it has none.

    :raises AfilnetUnreadableAnswerError: if a contact has a field that is no column; the file could not hold it.
    """
    places = {name.lower(): place for place, name in enumerate(columns)}
    for contact in contacts:
        values = [""] * len(columns)
        for field, value in contact.items():
            place = places.get(field.lower())
            if place is None:
                raise AfilnetUnreadableAnswerError(
                    f"getcontacts answered a contact with the field {field!r}, which getgroupcolumns does not name, so "
                    "it has no column in the file; use an output_path ending in .jsonl.",
                    method="getcontacts",
                )
            values[place] = value
        yield values


_WRITERS: Final[dict[str, Writer]] = {".jsonl": _write_jsonl, ".csv": _write_csv, ".parquet": _write_parquet}
