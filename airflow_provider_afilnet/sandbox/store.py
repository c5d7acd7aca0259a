"""What the sandbox remembers: groups, columns and contacts in SQLite.

Contacts are kept as versions with the time they were born and the time they died, so that a long read shows one
moment although others write meanwhile, and a stale read can show the group as it was some seconds ago. What died is
forgotten when a database file is opened again, or by ``reset``.

Nothing takes long under the lock, however big a group is, because the sandbox's event loop waits for it too: a deleted
group leaves its contacts behind, a deleted column its values, which are hidden while they are read.
"""

from __future__ import annotations

import json
import re
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

FIRST_GROUP_ID = 1000
"""Far from 0 and 1, so that an id is never taken for a position."""
FIRST_CONTACT_ID = 100_001

_ALIVE = 2**62
_MICROSECONDS = 1_000_000
_PAGE = 1_000
_ROWS_UNDER_ONE_LOCK = 5_000
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_ -]+")
_MOST_REMOVED = 50

_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS counter (name TEXT PRIMARY KEY, next INTEGER NOT NULL) WITHOUT ROWID;
INSERT OR IGNORE INTO counter VALUES ('group', {FIRST_GROUP_ID}), ('contact', {FIRST_CONTACT_ID});
CREATE TABLE IF NOT EXISTS contact_group (
    id INTEGER PRIMARY KEY, account TEXT NOT NULL, name TEXT NOT NULL, type TEXT NOT NULL, fields TEXT NOT NULL,
    country TEXT
);
CREATE TABLE IF NOT EXISTS contact (
    id INTEGER NOT NULL, idgroup INTEGER NOT NULL, key TEXT NOT NULL, data TEXT NOT NULL,
    born INTEGER NOT NULL, died INTEGER NOT NULL DEFAULT {_ALIVE}
);
CREATE TABLE IF NOT EXISTS group_size (idgroup INTEGER PRIMARY KEY, size INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS column_deletion (idgroup INTEGER NOT NULL, field TEXT NOT NULL, moment INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS contact_by_id ON contact (idgroup, id);
CREATE INDEX IF NOT EXISTS contact_by_key ON contact (idgroup, key) WHERE died = {_ALIVE};
"""  # noqa: S608 - constants only


@dataclass(frozen=True, slots=True)
class Group:
    """A group as it is stored. ``type`` is also the name of its key field; ``country`` is alpha-3 in capitals."""

    id: int
    account: str
    name: str
    type: str
    fields: tuple[str, ...]
    country: str | None


class Contact(NamedTuple):
    """A contact as it is stored: ``data`` is its values as a JSON object that always holds the key field."""

    id: int
    key: str
    data: str

    @property
    def values(self) -> dict[str, str]:
        """Field name to text; a field without a value is not there."""
        parsed: dict[str, str] = json.loads(self.data)
        return parsed


class ForgottenError(Exception):
    """What is being read or written was forgotten by a ``reset``."""


# One encoder for all: json.dumps makes a new one for each call that is not of the default form.
_to_json = json.JSONEncoder(separators=(",", ":")).encode


class Store:
    """The state of one sandbox. Any thread may call it; a write is one transaction."""

    def __init__(self, path: str | None) -> None:
        """``path``: a database file, made when it is not there; None keeps everything in memory."""
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None)
        # A sandbox's data may be lost with the machine, so no write waits for the disk.
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.executescript(_SCHEMA)
        self._db.execute(
            "DELETE FROM contact WHERE died < ? OR idgroup NOT IN (SELECT id FROM contact_group)", (_ALIVE,)
        )
        # Counting a million contacts takes too long for a page.
        self._db.execute("DELETE FROM group_size")
        self._db.execute("INSERT INTO group_size SELECT idgroup, COUNT(*) FROM contact GROUP BY idgroup")
        self._resets = 0
        self._depth = 0
        self._moment = 0
        self._moment = self.now()

    def close(self) -> None:
        """Close the database. The store is of no use afterwards."""
        with self._lock:
            self._db.close()

    def now(self) -> int:
        """This moment in microseconds; never one that a coming write will share."""
        with self._lock:
            self._moment = max(time.time_ns() // 1000, self._moment)
            return self._moment

    def seconds_ago(self, seconds: float) -> int:
        """The moment ``seconds`` ago, for ``contacts``."""
        return self.now() - int(seconds * _MICROSECONDS)

    @contextmanager
    def transaction(self) -> Iterator[int]:
        """Everything inside is written together or not at all. Yields the moment of the writes; may be nested."""
        with self._lock:
            if self._depth:
                yield self._moment
                return
            self._moment = self.now() + 1
            self._db.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield self._moment
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            else:
                self._db.execute("COMMIT")
            finally:
                self._depth -= 1

    def reset(self) -> None:
        """Forget every group and contact; ids begin anew. A read that is under way meets :class:`ForgottenError`."""
        with self.transaction():
            self._resets += 1
            # Without a condition SQLite throws the pages away instead of deleting row by row.
            for table in ("contact", "contact_group", "group_size", "column_deletion", "counter"):
                self._db.execute(f"DELETE FROM {table}")  # noqa: S608 - own names
            self._db.execute(
                "INSERT INTO counter VALUES ('group', ?), ('contact', ?)", (FIRST_GROUP_ID, FIRST_CONTACT_ID)
            )

    def _take_ids(self, name: str, count: int) -> range:
        (first,) = self._db.execute(
            "UPDATE counter SET next = next + ? WHERE name = ? RETURNING next - ?", (count, name, count)
        ).fetchone()
        return range(first, first + count)

    def take_contact_id(self) -> int:
        """Use up a contact id without a contact."""
        with self.transaction():
            return self._take_ids("contact", 1)[0]

    # Groups

    def create_group(self, account: str, name: str, group_type: str, fields: Sequence[str]) -> int:
        """Store a new group of ``account`` and answer its id."""
        with self.transaction():
            (group_id,) = self._take_ids("group", 1)
            self._db.execute(
                "INSERT INTO contact_group VALUES (?, ?, ?, ?, ?, NULL)",
                (group_id, account, name, group_type, _to_json(fields)),
            )
            return group_id

    def groups(self, *, after: int = 0, limit: int = -1) -> list[Group]:
        """The groups by id: all, or the first ``limit`` with an id above ``after``."""
        return self._groups("id > ? ORDER BY id LIMIT ?", after, limit)

    def _groups(self, where: str, *arguments: object) -> list[Group]:
        with self._lock:
            rows = self._db.execute(
                f"SELECT id, account, name, type, fields, country FROM contact_group WHERE {where}",  # noqa: S608 - own text
                arguments,
            ).fetchall()
        return [
            Group(group_id, account, name, group_type, tuple(json.loads(fields)), country)
            for group_id, account, name, group_type, fields, country in rows
        ]

    def group(self, group_id: str) -> Group | None:
        """The group with this id as it came over the wire, or None."""
        if not (group_id.isascii() and group_id.isdigit() and len(group_id) < 18):
            return None
        return next(iter(self._groups("id = ?", int(group_id))), None)

    def size(self, group: Group) -> int:
        """How many contacts the group has."""
        with self._lock:
            row = self._db.execute("SELECT size FROM group_size WHERE idgroup = ?", (group.id,)).fetchone()
        return row[0] if row else 0

    def delete_group(self, group: Group) -> None:
        """Forget the group, and with it its contacts: a group's id is never given again."""
        with self.transaction():
            self._db.execute("DELETE FROM contact_group WHERE id = ?", (group.id,))

    def set_country(self, group: Group, country: str) -> None:
        """Remember the country of the group, alpha-3 in capitals."""
        with self.transaction():
            self._db.execute("UPDATE contact_group SET country = ? WHERE id = ?", (country, group.id))

    def set_fields(self, group: Group, fields: Sequence[str]) -> None:
        """Give the group these columns; its contacts lose the values of the others for good."""
        with self.transaction() as moment:
            self._db.execute("UPDATE contact_group SET fields = ? WHERE id = ?", (_to_json(fields), group.id))
            self._db.executemany(
                "INSERT INTO column_deletion VALUES (?, ?, ?)",
                ((group.id, field, moment) for field in set(group.fields) - set(fields)),
            )

    def _deletions(self, group_id: int, moment: int) -> list[tuple[str, int]]:
        """The columns that the group has lost up to ``moment``, and when. The caller holds the lock."""
        return self._db.execute(
            "SELECT field, MAX(moment) FROM column_deletion WHERE idgroup = ? AND moment <= ? GROUP BY field",
            (group_id, moment),
        ).fetchall()

    # Contacts

    def contacts(self, group_id: int, moment: int | None = None, *, after: int = -1) -> Iterator[list[Contact]]:
        """The contacts with an id above ``after`` as of ``moment`` (default: now), ordered by id, in pages.

        Writes meanwhile do not show.
        """
        moment = self.now() if moment is None else moment
        with self._lock:
            resets, deletions = self._resets, self._deletions(group_id, moment)
        data, removed, deletions = _without(deletions)
        last = after
        while True:
            with self._lock:
                if resets != self._resets:
                    raise ForgottenError
                rows = self._db.execute(
                    f"SELECT id, key, {data}, born FROM contact WHERE idgroup = ? AND id > ? AND born <= ? AND died > ?"  # noqa: S608 - own text
                    " ORDER BY id LIMIT ?",
                    (*removed, group_id, last, moment, moment, _PAGE),
                ).fetchall()
            if rows:
                yield [_contact(row, deletions) for row in rows] if deletions else [Contact(*row[:3]) for row in rows]
            if len(rows) < _PAGE:
                return
            last = rows[-1][0]

    def contact(self, group: Group, contact_id: str) -> Contact | None:
        """The contact with this id as it came over the wire, or None."""
        if not (contact_id.isascii() and contact_id.isdigit() and len(contact_id) < 18):
            return None
        with self._lock:
            row = self._db.execute(
                "SELECT id, key, data, born FROM contact WHERE idgroup = ? AND id = ? AND died = ?",
                (group.id, int(contact_id), _ALIVE),
            ).fetchone()
            return _contact(row, self._deletions(group.id, self.now())) if row else None

    def holders(self, group: Group, key: str) -> set[int]:
        """The ids of the contacts with this key: none, one, or several doubles."""
        with self._lock:
            rows = self._db.execute(
                f"SELECT id FROM contact WHERE idgroup = ? AND key = ? AND died = {_ALIVE}",  # noqa: S608 - a constant, for the partial index
                (group.id, key),
            ).fetchall()
        return {row[0] for row in rows}

    def known_keys(self, group: Group, keys: Iterable[str]) -> set[str]:
        """Those of ``keys`` that some contact of the group has."""
        with self._lock:
            rows = self._db.execute(
                f"SELECT DISTINCT key FROM contact WHERE idgroup = ? AND died = {_ALIVE}"  # noqa: S608 - a constant, for the partial index
                " AND key IN (SELECT value FROM json_each(?))",
                (group.id, _to_json(list(keys))),
            ).fetchall()
        return {row[0] for row in rows}

    def add_contacts(self, group: Group, rows: Sequence[Mapping[str, str]]) -> range:
        """Store ``rows``, which all have the key field, without any other check; answers their new ids in order.

        Thousands of rows go in one transaction; a longer list takes several, and others get their turn in between.
        """
        if not all(group.type in row for row in rows):
            raise ValueError(f"Every contact of group {group.id} needs its key field {group.type}")
        with self.transaction():
            resets, ids = self._resets, self._take_ids("contact", len(rows))
        for start in range(0, len(rows), _ROWS_UNDER_ONE_LOCK):
            with self.transaction() as moment:
                if resets != self._resets:
                    raise ForgottenError
                part = slice(start, start + _ROWS_UNDER_ONE_LOCK)
                self._insert(group, zip(ids[part], rows[part], strict=True), moment)
            if len(rows) > _ROWS_UNDER_ONE_LOCK:
                # A lock that is taken again at once is never had by anybody else.
                time.sleep(0.0005)
        return ids

    def replace_contacts(self, group: Group, contacts: Sequence[tuple[int, Mapping[str, str]]]) -> None:
        """Give each contact, named by its id, these values, the key among them, and no others."""
        with self.transaction() as moment:
            self.remove_contacts(group, (contact_id for contact_id, _ in contacts))
            self._insert(group, contacts, moment)

    def _insert(self, group: Group, contacts: Iterable[tuple[int, Mapping[str, str]]], moment: int) -> None:
        # An empty text is no value, as in a table whose columns are empty by default.
        rows = self._db.executemany(
            "INSERT INTO contact (id, idgroup, key, data, born) VALUES (?, ?, ?, ?, ?)",
            [
                (
                    contact_id,
                    group.id,
                    values[group.type],
                    _to_json({name: value for name, value in values.items() if value != ""}),
                    moment,
                )
                for contact_id, values in contacts
            ],
        ).rowcount
        self._grow(group, rows)

    def remove_contacts(self, group: Group, contact_ids: Iterable[int]) -> None:
        """Remove the contacts with these ids; those that are not there are passed over."""
        with self.transaction() as moment:
            rows = self._db.executemany(
                "UPDATE contact SET died = ? WHERE idgroup = ? AND id = ? AND died = ?",
                ((moment, group.id, contact_id, _ALIVE) for contact_id in contact_ids),
            ).rowcount
            self._grow(group, -rows)

    def _grow(self, group: Group, rows: int) -> None:
        self._db.execute(
            "INSERT INTO group_size VALUES (?, ?) ON CONFLICT DO UPDATE SET size = size + excluded.size",
            (group.id, rows),
        )


def _without(deletions: list[tuple[str, int]]) -> tuple[str, list[str | int], list[tuple[str, int]]]:
    """How SQLite shows a contact's data without deleted columns, which takes a fraction of the time that parsing takes.

    :return: the expression, its arguments, and the deletions that are left for :func:`_contact`: of names that a path
        of SQLite's could mean otherwise, and of those beyond what a function takes.
    """
    plain = [deletion for deletion in deletions if _PLAIN_NAME.fullmatch(deletion[0])][:_MOST_REMOVED]
    if not plain:
        return "data", [], deletions
    # $[0] is nothing in an object.
    shown = f"json_remove(data{', iif(born < ?, ?, ?)' * len(plain)})"
    arguments = [part for field, moment in plain for part in (moment, f'$."{field}"', "$[0]")]
    return shown, arguments, [deletion for deletion in deletions if deletion not in plain]


def _contact(row: tuple[int, str, str, int], deletions: Sequence[tuple[str, int]]) -> Contact:
    """A contact without the values of columns that were deleted after it was written."""
    contact_id, key, data, born = row
    if gone := {field for field, moment in deletions if moment > born}:
        data = _to_json({name: value for name, value in json.loads(data).items() if name not in gone})
    return Contact(contact_id, key, data)
