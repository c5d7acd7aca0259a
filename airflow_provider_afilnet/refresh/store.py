"""The temporary store of one run: wanted rows, the group as read, and every planned write with its outcome.

It is SQLite's own unnamed database: on disk once it outgrows its cache, and already unlinked, so that nothing is left
behind even after a kill. Memory stays at the cache's size however long the lists are.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

_CACHE_KIB: Final = 4 * 1024  # a sort may take as much again; more is not measurably faster, even with keys at random
_PAGE: Final = 1000

_SCHEMA: Final = """
CREATE TABLE wanted (key TEXT PRIMARY KEY, row INTEGER, sent TEXT, vals TEXT, verdict TEXT DEFAULT 'unchanged')
    WITHOUT ROWID;
CREATE TABLE rejects (row INTEGER, key TEXT, field TEXT, reason TEXT, data TEXT);
CREATE INDEX rejects_by_key ON rejects (key);
CREATE TABLE suppressed (key TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE actual (n INTEGER PRIMARY KEY, id TEXT, raw TEXT, key TEXT, vals TEXT);
CREATE TABLE first_seen (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE ops (
    n INTEGER PRIMARY KEY, kind TEXT, key TEXT, id TEXT, row INTEGER, contact TEXT, why TEXT, before TEXT,
    state TEXT DEFAULT 'planned', code TEXT
);
CREATE INDEX ops_by_key ON ops (key, kind);
CREATE TABLE failures (row INTEGER, key TEXT, id TEXT, field TEXT, reason TEXT);
"""


class Op(NamedTuple):
    """One planned write. ``contact`` is what will be sent, field name to value; ``why`` names fields or a reason.

    Kinds: ``add``, ``update``, ``replace`` (delete, then add as JSON), ``delete``.
    States: ``planned``; ``acked``; ``refused`` (with ``code``); ``gone`` (the contact was not there); ``exists`` (an
    addition met the contact); ``unsent`` (certainly not applied); ``unknown``; ``deleted`` (a replacement whose
    addition did not happen); ``restored`` (a replacement whose addition was refused, so that the contact was put back).
    ``before``: the contact as it was stored, without blanks, of an update and a replacement.
    """

    n: int
    kind: str
    key: str
    id: str | None
    row: int | None
    contact: dict[str, str]
    why: str
    before: dict[str, str]
    state: str
    code: str | None


_OP_COLUMNS: Final = "n, kind, key, id, row, contact, why, before, state, code"

NewOp = tuple[str, str, str | None, int | None, str | None, str, str | None]
"""A write to plan: kind, key, id, row, contact as JSON, why, what was stored before as JSON."""


def _op(row: Sequence[Any]) -> Op:
    n, kind, key, record_id, source_row, contact, why, before, state, code = row
    return Op(n, kind, key, record_id, source_row, _loaded(contact), why, _loaded(before), state, code)


def _loaded(contact: str | None) -> dict[str, str]:
    return json.loads(contact) if contact else {}


class Store:
    """A connection to the temporary database, with the few statements that more than one module needs."""

    def __init__(self) -> None:
        # The main thread spools and the loop's thread does the rest; never both at once.
        self.db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self.db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        self.db.execute("PRAGMA journal_mode = OFF")
        self.db.execute("PRAGMA synchronous = OFF")
        self.db.executescript(_SCHEMA)

    def close(self) -> None:
        self.db.close()

    def one(self, sql: str, *args: object) -> Any:
        """The first column of the first row, or ``None``."""
        found = self.db.execute(sql, args).fetchone()
        return None if found is None else found[0]

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Carry out a statement for many rows as one transaction."""
        self.db.execute("BEGIN")
        self.db.executemany(sql, rows)
        self.db.execute("COMMIT")

    def insert(self, table_and_columns: str, rows: Iterable[Sequence[Any]], *, on_conflict: str = "") -> None:
        """Insert many rows as one transaction."""
        rows = list(rows)
        if not rows:
            return
        marks = ", ".join("?" * len(rows[0]))
        self.many(f"INSERT {on_conflict} INTO {table_and_columns} VALUES ({marks})", rows)

    # --- planned writes ---

    def add_ops(self, ops: Iterable[NewOp]) -> None:
        """Plan writes."""
        self.insert("ops (kind, key, id, row, contact, why, before)", ops)

    def ops(self, kind: str, state: str = "planned") -> Iterator[Op]:
        """Writes of one kind in one state, in order, read page by page so that states may change meanwhile."""
        last = 0
        while True:
            page = self.db.execute(
                f"SELECT {_OP_COLUMNS} FROM ops WHERE kind = ? AND state = ? AND n > ? ORDER BY n LIMIT ?",
                (kind, state, last, _PAGE),
            ).fetchall()
            if not page:
                return
            last = page[-1][0]
            yield from map(_op, page)

    def op_at(self, kind: str, offset: int) -> Op | None:
        """The planned write of a kind at a position in order."""
        found = self.db.execute(
            f"SELECT {_OP_COLUMNS} FROM ops WHERE kind = ? AND state = 'planned' ORDER BY n LIMIT 1 OFFSET ?",
            (kind, offset),
        ).fetchone()
        return _op(found) if found else None

    def last_op(self, key: str, kinds: Sequence[str], record_id: str | None = None) -> Op | None:
        """The newest write of these kinds for a key (and a contact) that was carried out or tried."""
        marks = ", ".join("?" * len(kinds))
        by_id = "" if record_id is None else "AND id = ?"
        found = self.db.execute(
            f"SELECT {_OP_COLUMNS} FROM ops WHERE key = ? AND kind IN ({marks}) AND state <> 'planned' {by_id} "
            "ORDER BY n DESC LIMIT 1",
            (key, *kinds, *(() if record_id is None else (record_id,))),
        ).fetchone()
        return _op(found) if found else None

    def mark(self, ops: Iterable[Op], state: str, code: str | None = None) -> None:
        """Record what became of writes."""
        self.many("UPDATE ops SET state = ?, code = ? WHERE n = ?", [(state, code, op.n) for op in ops])
