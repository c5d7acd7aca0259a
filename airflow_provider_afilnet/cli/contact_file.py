"""Contacts into a CSV or JSON lines file, streamed, and a file that is there whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Final

import click

from airflow_provider_afilnet.api.answers import ContactRecord
from airflow_provider_afilnet.api.errors import AfilnetUnreadableAnswerError

_ID: Final = "idcontact"
_FORMULA: Final = re.compile(r"[=@+\-\t\r]")
_HARMLESS: Final = re.compile(r"[+-]?[\d\s().,/-]*")


@dataclass
class Written:
    """How many contacts were written, and how many of their values begin like a formula of a spreadsheet."""

    count: int = 0
    formulas: int = 0


def is_formula(value: str) -> bool:
    """Whether a spreadsheet that opens the CSV would run the value. Numbers and phones with a sign are harmless."""
    return bool(_FORMULA.match(value)) and not _HARMLESS.fullmatch(value)


def write_jsonl(file: IO[bytes], contacts: Iterable[ContactRecord]) -> Written:
    """Write one JSON object a line, the id under ``idcontact``."""
    written = Written()
    for contact in contacts:
        file.write(json.dumps(contact.as_dict(), ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n")
        written.count += 1
    return written


def write_csv(
    file: IO[bytes], columns: list[str], contacts: Iterable[ContactRecord], *, spreadsheet: bool = False
) -> Written:
    """Write a header and one record a contact, blank where it has no value.

    :param spreadsheet: put an apostrophe before what a spreadsheet would run; the file's values are others then.
    :raises AfilnetUnreadableAnswerError: if a contact has a field that is no column; the file could not hold it.
    """
    written = Written()
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    try:
        writer = csv.writer(text)
        names = [_ID, *(name for name in columns if name.lower() != _ID)]
        places = {name.lower(): place for place, name in enumerate(names)}
        writer.writerow([_defused(name) for name in names] if spreadsheet else names)
        for contact in contacts:
            values = [""] * len(names)
            for field, value in contact.as_dict().items():
                place = places.get(field.lower())
                if place is None:
                    raise AfilnetUnreadableAnswerError(
                        f"getcontacts answered a contact with the field {field!r}, which getgroupcolumns does not "
                        "name, so it has no column in the file; use --format jsonl.",
                        method="getcontacts",
                    )
                written.formulas += is_formula(value)
                values[place] = _defused(value) if spreadsheet else value
            writer.writerow(values)
            written.count += 1
        return written
    finally:
        text.detach()


def _defused(value: str) -> str:
    return f"'{value}" if is_formula(value) else value


@contextmanager
def whole_output(output: str) -> Iterator[IO[bytes]]:
    """A file to write that reaches ``output`` only if all went well; ``-`` is standard output.

    A new file can be read by its owner only, since it holds people; one that is replaced keeps its mode.
    """
    target = os.path.realpath(output)
    try:
        # What is no plain file, such as a pipe or a device, cannot be replaced and gets a copy.
        if output == "-" or (os.path.exists(target) and not stat.S_ISREG(os.stat(target).st_mode)):
            with _copied_to(None if output == "-" else target) as file:
                yield file
        else:
            with _replacing(target) as file:
                yield file
    except BrokenPipeError:
        raise
    except OSError as error:
        raise click.FileError(output, error.strerror or type(error).__name__) from None


@contextmanager
def _copied_to(target: str | None) -> Iterator[IO[bytes]]:
    with tempfile.TemporaryFile() as spool:
        yield spool
        spool.seek(0)
        if target is None:
            shutil.copyfileobj(spool, sys.stdout.buffer, 1 << 20)
            sys.stdout.buffer.flush()
            return
        with open(target, "wb") as end:
            shutil.copyfileobj(spool, end, 1 << 20)


@contextmanager
def _replacing(target: str) -> Iterator[IO[bytes]]:
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(target), prefix=f".{os.path.basename(target)}.")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if os.path.exists(target):
            os.chmod(temporary, stat.S_IMODE(os.stat(target).st_mode))
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise
