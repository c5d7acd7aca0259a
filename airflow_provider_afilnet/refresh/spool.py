"""Long lists on disk: their rows as lines, in the order in which they came, and their fingerprints in slices.

Two lists of a million rows are compared slice by slice, each small enough to be held in memory, and only the rows that
differ are looked at again. The files have no name, so nothing is left behind, even after a kill.
"""

from __future__ import annotations

import os
import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import compress
from typing import Final

from airflow_provider_afilnet.refresh.errors import AfilnetRefreshError

LINES_PER_PAGE: Final = 256
SLICES: Final = 256
UNLIKE: Final = 0
"""The fingerprint of a row that must be looked at whatever the group holds."""
_UNWRITTEN: Final = 65536


def no_room(error: Exception, folder: str) -> AfilnetRefreshError:
    """What is told when rows and contacts cannot be kept in ``folder``."""
    why = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return AfilnetRefreshError(
        f"The worker's temporary folder {folder} takes no more ({why}), so rows and contacts cannot be compared. Make "
        "room there, or set TMPDIR to a folder with more. Nothing more is written now; the next run carries on.",
        retryable=True,
    )


class _File:
    """A file without a name that is only appended to."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 closed by close()
        self._end = 0

    def append(self, data: bytes) -> int:
        """Write at the end.

        :return: where it begins.
        """
        begins = self._end
        view = memoryview(data)
        try:
            while view:
                written = self._file.write(view) or 0
                view = view[written:]
        except OSError as error:
            raise no_room(error, tempfile.gettempdir()) from None
        self._end += len(data)
        return begins

    def read(self, begins: int, length: int) -> bytes:
        return os.pread(self._file.fileno(), length, begins)

    def close(self) -> None:
        self._file.close()


class Lines:
    """Rows as lines of bytes, numbered from 0. A line holds no line feed, which JSON never needs."""

    def __init__(self) -> None:
        self._file = _File()
        self._begins = array("q", [0])
        self._unwritten: list[bytes] = []

    def __len__(self) -> int:
        return (len(self._begins) - 1) * LINES_PER_PAGE + len(self._unwritten)

    def extend(self, lines: Iterable[bytes]) -> None:
        """Append lines."""
        waiting = self._unwritten
        waiting.extend(lines)
        full = len(waiting) - len(waiting) % LINES_PER_PAGE
        for first in range(0, full, LINES_PER_PAGE):
            page = b"\n".join(waiting[first : first + LINES_PER_PAGE])
            self._file.append(page)
            self._begins.append(self._begins[-1] + len(page))
        del waiting[:full]

    def _page(self, number: int) -> list[bytes]:
        if number == len(self._begins) - 1:
            return self._unwritten
        begins, ends = self._begins[number], self._begins[number + 1]
        return self._file.read(begins, ends - begins).split(b"\n")

    def pages(self) -> Iterator[list[bytes]]:
        """All lines, a page at a time."""
        for number in range(len(self._begins)):
            yield self._page(number)

    def flagged(self, flags: bytearray) -> Iterator[list[tuple[int, bytes]]]:
        """The lines whose number is flagged, each with its number, a page at a time."""
        for number in range(len(self._begins)):
            first = number * LINES_PER_PAGE
            page = flags[first : first + LINES_PER_PAGE]
            if any(page):
                yield list(compress(enumerate(self._page(number), first), page))

    def close(self) -> None:
        self._file.close()


class Printer:
    """Makes the fingerprint of a row or a contact from its key and the values at the positions that are compared.

    A value that is ``None``, not to be compared, is taken for blank: where it is, nothing differs, and where it is not,
    the fingerprints differ and the plan has a look.

    :param positions: places in a list of values, in any order.
    """

    def __init__(self, positions: Sequence[int]) -> None:
        self.positions = tuple(sorted(positions))

    def print(self, key: str, values: Sequence[str | None]) -> int:
        """A number other than :data:`UNLIKE` that equal keys and values share, and hardly any others (1 in 2**64)."""
        return fingerprint((key, *(values[position] or "" for position in self.positions)))


def fingerprint(compared: tuple[str | None, ...]) -> int:
    """The fingerprint of the key and the compared values, in the order of their positions."""
    return hash(compared) or 1


class Slice:
    """A part of a list's fingerprints, as three columns of one length."""

    __slots__ = ("keys", "numbers", "prints")

    def __init__(self, entries: array[int]) -> None:
        self.keys, self.prints, self.numbers = entries[0::3], entries[1::3], entries[2::3]


class Fingerprints:
    """For each row a hash of its key, a hash of all that is compared, and its number; sliced by the hash of the key.

    Hashes are Python's own of text, 64 bits with a secret of the process: good for this process only.
    """

    def __init__(self) -> None:
        self._file = _File()
        self._written: list[list[tuple[int, int]]] = [[] for _ in range(SLICES)]
        self._waiting = [array("q") for _ in range(SLICES)]
        self._waits = 0
        self._count = 0

    def __len__(self) -> int:
        """How many were appended."""
        return self._count

    def extend(self, keys: Sequence[int], prints: Sequence[int]) -> None:
        """Append the fingerprints of the next rows."""
        waiting, last = self._waiting, SLICES - 1
        for number, (key, print_) in enumerate(zip(keys, prints, strict=True), self._count):
            waiting[key & last].extend((key, print_, number))
        self._count += len(keys)
        self._waits += len(keys)
        if self._waits >= _UNWRITTEN:
            self._write()

    def _write(self) -> None:
        begins = self._file.append(b"".join([part.tobytes() for part in self._waiting]))
        for part, written in zip(self._waiting, self._written, strict=True):
            length = len(part) * part.itemsize
            written.append((begins, length))
            begins += length
            del part[:]
        self._waits = 0

    def slice(self, number: int) -> Slice:
        """One of the :data:`SLICES` slices; all rows with one key are in the same."""
        entries = array("q")
        for begins, length in self._written[number]:
            entries.frombytes(self._file.read(begins, length))
        entries.extend(self._waiting[number])
        return Slice(entries)

    def drop(self, rows: bytearray, check: Callable[[], None]) -> None:
        """Take rows out, those whose number is flagged.

        :param check: called for each slice; raises if the run was told to stop.
        """
        for number in range(SLICES):
            check()
            part = self.slice(number)
            kept = array("q")
            for entry in zip(part.keys, part.prints, part.numbers, strict=True):
                if not rows[entry[2]]:
                    kept.extend(entry)
            data = kept.tobytes()
            self._written[number] = [(self._file.append(data), len(data))]
            del self._waiting[number][:]

    def close(self) -> None:
        self._file.close()
