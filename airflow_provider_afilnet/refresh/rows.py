"""Where rows come from: anything that yields column names and values. No I/O of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

Row = tuple[tuple[str, ...], Sequence[Any]]
"""Column names and as many values."""


class RowSource(Protocol):
    """Rows to be read once, in order. ``columns`` is ``None`` where each row brings its own names."""

    columns: tuple[str, ...] | None

    def __iter__(self) -> Iterator[Row]: ...


class TableRows:
    """Rows of a query: the column names once, then one sequence of values per row.

    :param columns: names as the database gives them.
    :param rows: an iterable of sequences, consumed once.
    """

    def __init__(self, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        self.columns: tuple[str, ...] | None = tuple(columns)
        self._rows = rows

    def __iter__(self) -> Iterator[Row]:
        columns = self.columns or ()
        for row in self._rows:
            yield columns, row


class DictRows:
    """Rows as mappings of column to value, which need not all have the same columns.

    :param rows: an iterable of mappings, consumed once.
    """

    columns: tuple[str, ...] | None = None

    def __init__(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self._rows = rows

    def __iter__(self) -> Iterator[Row]:
        for row in self._rows:
            yield tuple(row), tuple(row.values())
