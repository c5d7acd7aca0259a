"""Find the rows and contacts that are not plainly equal: the only ones that a plan looks at.

A row is settled if exactly one contact has its key as it stands and both have one fingerprint. Whoever else is wanted
or there is loaded into the store's tables, with all that share a key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from airflow_provider_afilnet.refresh.normalise import KeyReader, RejectError
from airflow_provider_afilnet.refresh.spool import SLICES, Fingerprints, Slice
from airflow_provider_afilnet.refresh.store import Store, read_contact, read_row, to_line

_PAGE: Final = 2000


def compare(store: Store, keys: KeyReader, check: Callable[[], None]) -> int:
    """Load what may differ, and normalise the stored keys among it that nothing in the source equals as they stand.

    :param check: called often; raises if the run was told to stop.
    :return: how many contacts have a key that cannot be read; it is null in the table ``actual``.
    """
    db = store.db
    db.executescript(
        "DROP INDEX wanted_by_key; DROP INDEX actual_by_key; DELETE FROM actual; UPDATE wanted SET open = 0;"
    )
    _open(store, keys, _differing, check)
    db.executescript("CREATE INDEX wanted_by_key ON wanted (key); CREATE INDEX actual_by_key ON actual (key);")
    renamed = Fingerprints()
    try:
        unreadable = _read_keys(store, keys, renamed, check)
        if len(renamed):
            # What was settled under the key that another contact turns out to have is not.
            _open(store, keys, lambda number, *_: set(renamed.slice(number).keys), check)
    finally:
        renamed.close()
    return unreadable


def _differing(number: int, wanted: Slice, actual: Slice, watched: Iterable[int]) -> set[int]:
    """Hashes of the keys in one slice that are not settled."""
    want = dict(zip(wanted.keys, wanted.prints, strict=True))
    have = dict(zip(actual.keys, actual.prints, strict=True))
    found = set() if want == have else {key for key, _ in want.items() ^ have.items()}
    for part, once in ((wanted, want), (actual, have)):
        if len(once) < len(part.keys):
            found.update(key for key, times in Counter(part.keys).items() if times > 1)
    found.update(watched)
    return found


def _open(
    store: Store,
    keys: KeyReader,
    which: Callable[[int, Slice, Slice, Iterable[int]], set[int]],
    check: Callable[[], None],
) -> None:
    """Load the rows and contacts with these keys."""
    rows, contacts = bytearray(len(store.rows.lines)), bytearray(len(store.group.lines))
    for number in range(SLICES):
        check()
        wanted, actual = store.rows.prints.slice(number), store.group.prints.slice(number)
        found = which(number, wanted, actual, store.watched.slice(number).keys)
        if found:
            _flag(rows, wanted, found)
            _flag(contacts, actual, found)
    for page in store.rows.lines.flagged(rows):
        check()
        loaded = [read_row(line) for _, line in page]
        store.insert(
            "wanted (row, key, sent, vals, verdict)",
            [(row, key, sent, _text(values), store.settled) for row, key, sent, values in loaded],
            afterwards="ON CONFLICT (row) DO UPDATE SET open = 1",
        )
    for page in store.group.lines.flagged(contacts):
        check()
        found_there = [(number, *read_contact(line)) for number, line in page]
        store.insert(
            "actual (n, id, raw, key, vals)",
            [
                (number, record_id, raw, keys.match_form(raw), _text(values))
                for number, record_id, raw, values in found_there
            ],
            afterwards="ON CONFLICT (n) DO NOTHING",
        )


def _flag(flags: bytearray, part: Slice, found: set[int]) -> None:
    for key, number in zip(part.keys, part.numbers, strict=True):
        if key in found:
            flags[number] = 1


def _text(values: list[str] | list[str | None]) -> str:
    return to_line(values).decode()


def _read_keys(store: Store, keys: KeyReader, renamed: Fingerprints, check: Callable[[], None]) -> int:
    """Normalise the keys of contacts that no wanted, rejected or suppressed key equals; unreadable ones become null."""
    unreadable, last = 0, -1
    while True:
        check()
        page = store.db.execute(
            "SELECT n, raw, key FROM actual a WHERE n > ? AND NOT EXISTS (SELECT 1 FROM wanted w WHERE w.key = a.key) "
            "AND NOT EXISTS (SELECT 1 FROM suppressed s WHERE s.key = a.key) "
            "AND NOT EXISTS (SELECT 1 FROM rejects r WHERE r.key = a.key) ORDER BY n LIMIT ?",
            (last, _PAGE),
        ).fetchall()
        if not page:
            return unreadable
        last = page[-1][0]
        changes: list[tuple[str | None, int]] = []
        for n, raw, matched in page:
            try:
                key: str | None = keys.read(raw).compared
            except RejectError:
                key = None
                unreadable += 1
            if key != matched:
                changes.append((key, n))
        store.many("UPDATE actual SET key = ? WHERE n = ?", changes)
        found = [hash(key) for key, _ in changes if key is not None]
        renamed.extend(found, found)
