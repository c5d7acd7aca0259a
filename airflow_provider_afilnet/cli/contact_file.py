"""A file that is there whole or not at all, and values that a spreadsheet would take for formulas."""

from __future__ import annotations

import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Final

import click

_FORMULA: Final = re.compile(r"[=@+\-\t\r]")
_HARMLESS: Final = re.compile(r"[+-]?[\d\s().,/-]*")


def is_formula(value: str) -> bool:
    """Whether a spreadsheet that opens the CSV would run the value. Numbers and phones with a sign are harmless."""
    return bool(_FORMULA.match(value)) and not _HARMLESS.fullmatch(value)


class Formulas:
    """Counts the values that a spreadsheet would run; with ``defused`` they get an apostrophe in front."""

    def __init__(self, *, defused: bool) -> None:
        self._defused = defused
        self.count = 0

    def shown(self, value: str) -> str:
        """The value as it is written."""
        if not is_formula(value):
            return value
        self.count += 1
        return f"'{value}" if self._defused else value


@contextmanager
def whole_output(output: str) -> Iterator[IO[bytes]]:
    """A file to write that reaches ``output`` only if all went well; ``-`` is standard output.

    A new file can be read by its owner only, since it holds people; one that is replaced keeps its mode.
    """
    if output == "-" and sys.stdout is None:
        raise click.UsageError("Standard output is closed; name a file with --output.")
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
