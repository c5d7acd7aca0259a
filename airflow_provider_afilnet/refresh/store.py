"""The temporary store of one run: wanted rows, the group as read, and every planned write with its outcome.

Whole lists are spooled as lines. What may differ of them, and the writes, stand in SQLite's own unnamed database: on
disk once it outgrows its cache, and already unlinked, so that nothing is left behind even after a kill. Memory stays at
the cache's size however long the lists are.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from airflow_provider_afilnet.refresh.spool import Fingerprints, Lines, Printer

_CACHE_KIB: Final = 4 * 1024  # a sort may take as much again; more is not measurably faster, even with keys at random
_PAGE: Final = 1000

_SCHEMA: Final = """
CREATE TABLE wanted (row INTEGER PRIMARY KEY, key TEXT, sent TEXT, vals TEXT, verdict TEXT, open INTEGER DEFAULT 1);
CREATE INDEX wanted_by_key ON wanted (key);
CREATE TABLE rejects (row INTEGER, key TEXT, field TEXT, reason TEXT, data TEXT);
CREATE INDEX rejects_by_key ON rejects (key);
CREATE TABLE suppressed (key TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE actual (n INTEGER PRIMARY KEY, id TEXT, raw TEXT, key TEXT, vals TEXT);
CREATE INDEX actual_by_key ON actual (key);
CREATE TABLE first_seen (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE ops (
    n INTEGER PRIMARY KEY, kind TEXT, key TEXT, id TEXT, row INTEGER, contact TEXT, why TEXT, before TEXT,
    state TEXT DEFAULT 'planned', code TEXT, refusals INTEGER DEFAULT 0
);
CREATE INDEX ops_by_key ON ops (key, kind);
CREATE TABLE failures (row INTEGER, key TEXT, id TEXT, field TEXT, reason TEXT);
"""


_FOLDERS: Final = ("/var/tmp", "/usr/tmp", "/tmp")  # noqa: S108 - SQLite's own list


def folder_of_sqlite() -> str:
    """Where SQLite keeps its unnamed files: without ``TMPDIR`` not where Python keeps its own."""
    for folder in (os.environ.get("SQLITE_TMPDIR"), os.environ.get("TMPDIR"), *_FOLDERS):
        if folder and os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK):
            return folder
    return "."


to_line = msgspec.json.Encoder().encode
"""A row of a whole list as a line: JSON without line feeds."""


def read_row(line: bytes) -> tuple[int, str, str, list[str | None]]:
    """Of a line of wanted rows: row number, key, key to send, values by the group's columns."""
    row, key, sent, *values = _decode(line)
    return row, key, sent or key, values


def read_contact(line: bytes) -> tuple[str | None, str, list[str]]:
    """Of a line of contacts: id, key as it stands, values by the group's columns."""
    record_id, raw, *values = _decode(line)
    return record_id, raw, values


_decode: Callable[[bytes], list[Any]] = msgspec.json.Decoder(list).decode
read_values: Callable[[str], list[Any]] = msgspec.json.Decoder(list).decode
"""Values by the group's columns, of a row or a contact in the tables."""


class Op(NamedTuple):
    """One planned write. ``json`` is the contact that will be sent, as JSON; ``why`` names fields or a reason.

    Kinds: ``add``, ``update``, ``replace`` (delete, then add as JSON), ``delete``.
    States: ``planned``; ``acked``; ``refused`` (with ``code``); ``gone`` (the contact was not there); ``exists`` (an
    addition met the contact); ``unsent`` (certainly not applied); ``unknown``; ``deleted`` (a replacement whose
    addition did not happen); ``restored`` (a replacement whose addition was refused, so that the contact was put back).
    ``json_before``: the contact as it was stored, without blanks, of an update and a replacement.
    """

    n: int
    kind: str
    key: str
    id: str | None
    row: int | None
    json: str | None
    why: str
    json_before: str | None
    state: str
    code: str | None

    @property
    def contact(self) -> dict[str, str]:
        """Field name to value of the contact that will be sent."""
        return _loaded(self.json)

    @property
    def before(self) -> dict[str, str]:
        """Field name to value of the contact as it was stored."""
        return _loaded(self.json_before)


_OP_COLUMNS: Final = "n, kind, key, id, row, contact, why, before, state, code"

NewOp = tuple[str, str, str | None, int | None, str | None, str, str | None]
"""A write to plan: kind, key, id, row, contact as JSON, why, what was stored before as JSON."""


def _loaded(contact: str | None) -> dict[str, str]:
    return _read_contact_json(contact) if contact else {}


_read_contact_json = msgspec.json.Decoder(dict[str, str]).decode


class Spool:
    """A whole list: its rows as lines, and their fingerprints. Both number the rows alike."""

    def __init__(self) -> None:
        self.lines = Lines()
        self.prints = Fingerprints()

    def close(self) -> None:
        self.lines.close()
        self.prints.close()


class Store:
    """The whole lists, and the database of what may differ of them.

    ``rows``: every wanted row as ``[row, key, sent or null, *values]``. ``group``: every contact of the last read as
    ``[id, raw key, *values]``; ``first_group``: of the first one, once there is a second. The table ``wanted`` holds
    the rows that ever differed from the group, ``open`` where they may do so in the last read; ``actual`` the contacts
    that differ in the last read. What stands in neither is equal, one contact for each row.

    ``watched``: keys that are looked at in every comparison, equal or not: those that are suppressed, those of rejected
    rows, and those of contacts that this run rewrites. ``settled``: what a wanted row counts as that never differed.
    """

    def __init__(self) -> None:
        self.rows = Spool()
        self.group = Spool()
        self.first_group: Spool | None = None
        self.watched = Fingerprints()
        self.printer = Printer(())
        self._ids_of_first = False
        self.settled = "unchanged"
        # The main thread spools and the loop's thread does the rest; never both at once.
        self.db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self.db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        self.db.execute("PRAGMA journal_mode = OFF")
        self.db.execute("PRAGMA synchronous = OFF")
        self.db.executescript(_SCHEMA)

    def close(self) -> None:
        self.db.close()
        for spool in (self.rows, self.group, self.first_group, self.watched):
            if spool is not None:
                spool.close()

    def begin_read(self) -> Spool:
        """Forget the last read, unless it is kept as the first, and make room for the next."""
        if self.group is not self.first_group:
            self.group.close()
        self.group = Spool()
        return self.group

    def has_id_twice(self, check: Callable[[], None]) -> bool:
        """Whether two contacts of the last read have one id.

        :param check: called for each page of contacts; raises if the run was told to stop.
        """
        self.db.execute("CREATE TABLE ids (id TEXT)")
        for page in self.group.lines.pages():
            check()
            self.insert("ids", [(record_id,) for record_id, *_ in map(read_contact, page)])
        check()
        twice = self.one("SELECT 1 FROM ids GROUP BY id HAVING count(*) > 1 LIMIT 1") is not None
        self.db.execute("DROP TABLE ids")
        return twice

    def first_seen(self, record_id: str, check: Callable[[], None]) -> bool:
        """Whether the first read showed this id.

        :param check: called for each page of contacts when it is asked first; raises if the run was told to stop.
        """
        if not self._ids_of_first and self.first_group is not None:
            for page in self.first_group.lines.pages():
                check()
                ids = [(found,) for found, *_ in map(read_contact, page) if found is not None]
                self.insert("first_seen", ids, on_conflict="OR IGNORE")
            self._ids_of_first = True
        return self.one("SELECT 1 FROM first_seen WHERE id = ?", record_id) is not None

    def shows_key(self, key: str) -> bool:
        """Whether the last read, once it was compared, shows a contact with a wanted key."""
        return (
            self.one("SELECT 1 FROM actual WHERE key = ?", key) is not None
            or self.one("SELECT 1 FROM wanted WHERE key = ? AND open", key) is None
        )

    def shown(self) -> Iterator[tuple[str | None, str]]:
        """Id and key, as they stand, of every contact of the last read."""
        for page in self.group.lines.pages():
            for record_id, raw, _ in map(read_contact, page):
                yield record_id, raw

    def watch(self, keys: Iterable[str]) -> None:
        """Look at these keys in every comparison."""
        hashes = list(map(hash, keys))
        self.watched.extend(hashes, hashes)

    def one(self, sql: str, *args: object) -> Any:
        """The first column of the first row, or ``None``."""
        found = self.db.execute(sql, args).fetchone()
        return None if found is None else found[0]

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Carry out a statement for many rows as one transaction."""
        self.db.execute("BEGIN")
        self.db.executemany(sql, rows)
        self.db.execute("COMMIT")

    def insert(
        self, table_and_columns: str, rows: Iterable[Sequence[Any]], *, on_conflict: str = "", afterwards: str = ""
    ) -> None:
        """Insert many rows as one transaction.

        :param on_conflict: such as ``OR IGNORE``; ``afterwards``: a clause behind the values.
        """
        rows = list(rows)
        if not rows:
            return
        marks = ", ".join("?" * len(rows[0]))
        self.many(f"INSERT {on_conflict} INTO {table_and_columns} VALUES ({marks}) {afterwards}", rows)

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
            yield from map(Op._make, page)

    def op_at(self, kind: str, offset: int) -> Op | None:
        """The planned write of a kind at a position in order."""
        found = self.db.execute(
            f"SELECT {_OP_COLUMNS} FROM ops WHERE kind = ? AND state = 'planned' ORDER BY n LIMIT 1 OFFSET ?",
            (kind, offset),
        ).fetchone()
        return Op._make(found) if found else None

    def last_op(self, key: str, kinds: Sequence[str], record_id: str | None = None) -> Op | None:
        """The newest write of these kinds for a key (and a contact) that was carried out or tried."""
        marks = ", ".join("?" * len(kinds))
        by_id = "" if record_id is None else "AND id = ?"
        found = self.db.execute(
            f"SELECT {_OP_COLUMNS} FROM ops WHERE key = ? AND kind IN ({marks}) AND state <> 'planned' {by_id} "
            "ORDER BY n DESC LIMIT 1",
            (key, *kinds, *(() if record_id is None else (record_id,))),
        ).fetchone()
        return Op._make(found) if found else None

    def refused_together(self, ops: Iterable[Op]) -> None:
        """Count that a list which held these additions was refused, before parts of it go again."""
        self.many("UPDATE ops SET refusals = refusals + 1 WHERE n = ?", [(op.n,) for op in ops])

    def mark(self, ops: Iterable[Op], state: str, code: str | None = None) -> None:
        """Record what became of writes."""
        self.many("UPDATE ops SET state = ?, code = ? WHERE n = ?", [(state, code, op.n) for op in ops])
