"""The source that every tool reads: customers who do not exist, in SQLite or PostgreSQL, and their churn."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import psycopg

FIELDS: Final = ("mobile", "name", "city", "mail", "orders", "points")
"""The columns of the query, which are those of the group; ``mobile`` is the key."""

QUERY: Final = (
    "SELECT mobile, name, city, mail, CAST(orders AS TEXT) AS orders, CAST(points AS TEXT) AS points FROM customers"
)
"""What every tool asks: the API takes texts, so the numbers come as texts."""

_TABLE: Final = (
    "CREATE TABLE customers (id INTEGER PRIMARY KEY, mobile TEXT NOT NULL, name TEXT NOT NULL, city TEXT NOT NULL, "
    "mail TEXT NOT NULL, orders INTEGER NOT NULL, points INTEGER NOT NULL)"
)
# 0.5 % changed, 0.25 % gone; as many new ones come at the end.
_CHANGE: Final = "UPDATE customers SET points = points + 1 WHERE id % 200 = 0"
_GO: Final = "DELETE FROM customers WHERE id % 400 = 1"
_NEW_IN: Final = 400

_FIRST = ("Ana", "José", "Lucía", "Marta", "Álvaro", "Iván", "Carmen", "Pablo", "Irene", "Hugo", "Sofía", "Diego")
_LAST = ("García", "Pérez", "Muñoz", "Ruiz", "Castro", "Vidal", "Romero", "Iglesias", "Navarro", "Ortega", "Santos")
_CITIES = ("Vigo", "Madrid", "A Coruña", "Sevilla", "Bilbao", "Zaragoza", "Palma", "Cádiz", "León")
_PAGE: Final = 10_000


def phone(number: int) -> str:
    """A mobile number in E.164 without plus, another for each number below 100 million; one in ten is not Spanish."""
    # Odd and no multiple of 5, so that no two numbers meet; the order is that of no index.
    scattered = number * 61_803_399 % 100_000_000
    if number % 20 == 7:
        return f"4473{scattered:08}"
    if number % 20 == 13:
        return f"5511{scattered + 900_000_000:09}"
    return f"346{scattered:08}"


def customers(first: int, last: int) -> Iterator[tuple[int, str, str, str, str, int, int]]:
    """The rows of the table from ``first`` to before ``last``: about 150 bytes as JSON."""
    for number in range(first, last):
        given, family = _FIRST[number % len(_FIRST)], _LAST[number % len(_LAST)]
        yield (
            number,
            phone(number),
            f"{given} {family} {_LAST[number // 11 % len(_LAST)]}",
            _CITIES[number % len(_CITIES)],
            f"customer.{number}@example.com",
            number % 37,
            number * 7 % 10_000,
        )


class SqliteSource:
    """The table in a SQLite file."""

    def __init__(self, path: Path, rows: int) -> None:
        """Make the file with ``rows`` customers."""
        self.path = path
        self.rows = rows
        path.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as db, db:
            db.execute(_TABLE)
            db.executemany("INSERT INTO customers VALUES (?, ?, ?, ?, ?, ?, ?)", customers(0, rows))

    def change(self) -> None:
        """1 % churn: 0.5 % of the rows change, 0.25 % go, and as many come."""
        with closing(sqlite3.connect(self.path)) as db, db:
            db.execute(_CHANGE)
            db.execute(_GO)
            new = customers(self.rows, self.rows + self.rows // _NEW_IN)
            db.executemany("INSERT INTO customers VALUES (?, ?, ?, ?, ?, ?, ?)", new)

    def wanted(self) -> Iterator[tuple[str, ...]]:
        """What the group must hold: the rows of the query."""
        yield from read_sqlite(self.path)


def read_sqlite(path: Path | str) -> Iterator[tuple[str, ...]]:
    """The rows of the query, streamed."""
    with closing(sqlite3.connect(path)) as db:
        cursor = db.execute(QUERY)
        while page := cursor.fetchmany(2_000):
            yield from page


class PostgresSource:
    """The same table in a PostgreSQL."""

    def __init__(self, connection: psycopg.Connection[Any], rows: int) -> None:
        """Make the table anew with ``rows`` customers, through a connection that commits by itself."""
        self._connection = connection
        self.rows = rows
        connection.execute("DROP TABLE IF EXISTS customers")
        connection.execute(_TABLE)
        self._add(0, rows)

    def change(self) -> None:
        """The churn of :class:`SqliteSource`."""
        self._connection.execute(_CHANGE)
        self._connection.execute(_GO)
        self._add(self.rows, self.rows + self.rows // _NEW_IN)

    def wanted(self) -> Iterator[tuple[str, ...]]:
        """What the group must hold."""
        with self._connection.transaction(), self._connection.cursor(name="wanted") as cursor:
            cursor.execute(QUERY)
            while page := cursor.fetchmany(_PAGE):
                yield from page

    def _add(self, first: int, last: int) -> None:
        with self._connection.cursor() as cursor, cursor.copy("COPY customers FROM STDIN") as copy:
            for row in customers(first, last):
                copy.write_row(row)
        self._connection.execute("ANALYZE customers")


def batches(rows: Iterator[dict[str, str]], size: int) -> Iterator[list[dict[str, str]]]:
    """Lists of ``size`` rows, the last one shorter."""
    while batch := list(islice(rows, size)):
        yield batch
