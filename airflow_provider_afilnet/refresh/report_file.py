"""A file that grows, on any storage: lines are added at its end, and what earlier runs left in it stays.

A local file is appended to in place. Elsewhere appending is missing (Google Cloud Storage) or half a truth (S3), but an
object is replaced as a whole or not at all; so there the lines wait in an unnamed temporary file on the local disk, and
the whole file is uploaded. Either way nothing but a buffer is held in memory.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, Protocol

_CHUNK: Final = 1 << 20
_BLOCK: Final = 5 << 20
"""What a storage's file may buffer, in bytes: S3 takes no smaller part, and its own default would be 50 MiB."""

_FIRST_UPLOAD: Final = 1 << 20


class ReportStorageError(Exception):
    """A storage failed. The text has neither its address nor its message, which may hold secrets.

    :param name: the file that was read or written.
    :param error: what the storage said.
    """

    def __init__(self, name: str, error: Exception) -> None:
        number = error.errno if isinstance(error, OSError) else None
        why = type(error).__name__ + (f", {os.strerror(number)}" if number else "")
        super().__init__(f"{name}: {why}")


@contextmanager
def storage_of(name: str) -> Iterator[None]:
    """Turn whatever a storage raises into :class:`ReportStorageError`."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - each storage has errors of its own, most of them no OSError
        raise ReportStorageError(name, error) from None


class ReportFile(Protocol):
    """What can be done with the file. All methods raise :class:`ReportStorageError`."""

    def append(self, lines: Iterable[bytes]) -> None:
        """Add lines, which bring their own line ends."""

    def keep(self) -> None:
        """Return when everything so far is safe on the storage, for everybody to see."""

    def close(self) -> None:
        """Let go of the file; what was not kept may be lost."""


def make_folder(folder: Any) -> None:
    """Make the folder where the storage has folders. The files hold people: a new local one is its owner's alone.

    :raises ReportStorageError: if it cannot be made.
    """
    with storage_of("the folder"):
        local = _local(folder)
        if local is not None:
            local.mkdir(mode=0o700, parents=True, exist_ok=True)
        elif folder.path.startswith("/"):
            folder.fs.makedirs(folder.path, exist_ok=True)
        # A path without root begins with a bucket, below which there are no folders; asked for one, the storage would
        # make the bucket itself, for a name that was merely misspelt.


def open_report_file(path: Any, *, anew: bool = False) -> ReportFile:
    """Open a file for adding lines.

    :param path: a :class:`pathlib.Path`, or a path object of ``universal_pathlib``, as Airflow's ``ObjectStoragePath``
        is; its folder exists.
    :param anew: begin with an empty file, instead of after what is there.
    :raises ReportStorageError: if what is there cannot be read, or a local file not be written.
    """
    with storage_of(path.name):
        local = _local(path)
        return _StoredFile(path, anew) if local is None else _LocalFile(local, anew)


def _local(path: Any) -> Path | None:
    """The path on this machine's disk, if that is where it is."""
    # Before universal_pathlib 0.3 its path objects, also those of object storages, are pathlib's too.
    storage = getattr(path, "fs", None)
    if storage is None:
        return Path(path)
    names = storage.protocol
    return Path(path.path) if "file" in ((names,) if isinstance(names, str) else names) else None


class _LocalFile:
    """Every :meth:`append` reaches the operating system, so that a killed process loses nothing."""

    def __init__(self, path: Path, anew: bool) -> None:
        if not anew and path.exists():
            with path.open("r+b") as old:
                _mend(old)
        self._name = path.name
        self._file = path.open("wb" if anew else "ab")

    def append(self, lines: Iterable[bytes]) -> None:
        for chunk in _chunks(lines):
            with storage_of(self._name):
                self._file.write(chunk)
                self._file.flush()

    def keep(self) -> None:
        with storage_of(self._name):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        with storage_of(self._name):
            self._file.close()


class _StoredFile:
    """Uploads the whole file by :meth:`keep`, and by itself whenever it has doubled.

    So all uploads but those asked for add up to less than twice the file, and a kill loses at most half of it.
    """

    def __init__(self, path: Any, anew: bool) -> None:
        self._path = path
        self._spool: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self._size = self._sent = 0
        self._there = False
        if not anew:
            try:
                self._fetch()
            except BaseException:
                self._spool.close()
                raise

    def _fetch(self) -> None:
        """Take over what is there; reading it here also finds out, before the first write, whether that is allowed."""
        storage, name = self._path.fs, self._path.path
        # This process may have listed the folder before another one wrote there.
        storage.invalidate_cache(name)
        try:
            with storage.open(name, "rb", block_size=_BLOCK) as old:
                shutil.copyfileobj(old, self._spool, _CHUNK)
        except FileNotFoundError:
            return
        _mend(self._spool)
        self._size = self._sent = self._spool.tell()
        self._there = True

    def append(self, lines: Iterable[bytes]) -> None:
        for chunk in _chunks(lines):
            with storage_of(self._path.name):
                self._size += self._spool.write(chunk)
        if self._size - self._sent >= max(self._sent, _FIRST_UPLOAD):
            self.keep()

    def keep(self) -> None:
        if self._there and self._size == self._sent:
            return
        with storage_of(self._path.name):
            storage = self._path.fs
            self._spool.seek(0)
            try:
                # Within a transaction an upload that breaks off is discarded. Without, closing its file would put
                # the half that got there in the place of the whole that was there.
                with storage.transaction, storage.open(self._path.path, "wb", block_size=_BLOCK) as new:
                    shutil.copyfileobj(self._spool, new, _CHUNK)
            finally:
                self._spool.seek(0, os.SEEK_END)
        self._sent, self._there = self._size, True

    def close(self) -> None:
        with storage_of(self._path.name):
            self._spool.close()


def _chunks(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Lines joined to pieces worth writing; what making a line raises is not the storage's fault."""
    piece: list[bytes] = []
    size = 0
    for line in lines:
        piece.append(line)
        size += len(line)
        if size >= _CHUNK:
            yield b"".join(piece)
            piece, size = [], 0
    if piece:
        yield b"".join(piece)


def _mend(file: IO[bytes]) -> None:
    """End the last line of a file that a killed writer left without its end, and stay there.

    If it is whole JSON it gets its line end; a torn one is cut off, or it would spoil the line that comes after it.
    """
    end = start = file.seek(0, os.SEEK_END)
    while start:
        step = min(start, 1 << 16)
        file.seek(start - step)
        found = file.read(step).rfind(b"\n")
        if found >= 0:
            start += found + 1 - step
            break
        start -= step
    if start < end:
        file.seek(start)
        try:
            json.loads(file.read())
        except ValueError:
            file.truncate(start)
        else:
            file.write(b"\n")
    file.seek(0, os.SEEK_END)
