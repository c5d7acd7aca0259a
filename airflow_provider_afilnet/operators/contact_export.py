"""Write a group's contacts to a file, streamed: JSON lines, CSV or Parquet."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from itertools import islice
from typing import IO, TYPE_CHECKING, Final

from airflow_provider_afilnet.api.contact_files import Rows, header, in_columns, write_csv, write_jsonl
from airflow_provider_afilnet.api.errors import AfilnetConfigurationError
from airflow_provider_afilnet.operators.storage import storage_told

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

_ROW_GROUP: Final = 10_000

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
        count = write(spool, columns, contacts)
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
    return write_jsonl(file, contacts)


def _write_parquet(file: IO[bytes], columns: list[str], contacts: Rows) -> int:
    import pyarrow
    import pyarrow.parquet

    names = header(columns)
    schema = pyarrow.schema([(name, pyarrow.string()) for name in names])
    rows = in_columns(names, contacts)
    count = 0
    with pyarrow.parquet.ParquetWriter(file, schema) as writer:
        while part := list(islice(rows, _ROW_GROUP)):
            writer.write_table(pyarrow.table([list(values) for values in zip(*part, strict=True)], schema=schema))
            count += len(part)
    return count


_WRITERS: Final[dict[str, Writer]] = {".jsonl": _write_jsonl, ".csv": write_csv, ".parquet": _write_parquet}
