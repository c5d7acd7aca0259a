"""Read a group into the store, and know what the read is worth."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from airflow_provider_afilnet.api.answers import ContactRecord
from airflow_provider_afilnet.api.client import AsyncAfilnetClient
from airflow_provider_afilnet.api.errors import AfilnetUnprovenReadError, AfilnetUnreadableAnswerError
from airflow_provider_afilnet.refresh.normalise import KeyReader, RejectError
from airflow_provider_afilnet.refresh.progress import Progress
from airflow_provider_afilnet.refresh.source import GroupFields
from airflow_provider_afilnet.refresh.store import Store

_PAGE: Final = 2000


@dataclass(frozen=True, slots=True)
class GroupRead:
    """One read of the whole group.

    ``digest`` is equal for two reads that show the same contacts with the same ids and values, in any order.
    ``proven`` is false if the answer was null or absent. ``started`` is on the monotonic clock, in seconds.
    """

    count: int
    digest: int
    proven: bool
    has_ids: bool
    started: float

    @property
    def may_be_cut_off(self) -> bool:
        """Whether the count is such as a limit would be: a multiple of 50, or of a power of two from 64."""
        return self.count > 0 and (self.count % 50 == 0 or self.count % 64 == 0)


async def read_group(
    client: AsyncAfilnetClient, group_id: str, store: Store, fields: GroupFields, keys: KeyReader, progress: Progress
) -> GroupRead:
    """Stream the group into the table ``actual``, replacing what is there; :func:`find_keys` comes next.

    :raises AfilnetUnreadableAnswerError: if only some contacts have ids, or an id comes twice.
    """
    started = time.monotonic()
    db = store.db
    db.executescript("DROP INDEX IF EXISTS actual_by_key; DELETE FROM actual;")
    places: dict[str, int] = {}
    count = with_id = digest = 0
    proven = True
    try:
        async for batch in client.contacts(group_id):
            rows = [_row(record, places, fields, keys) for record in batch]
            count += len(rows)
            progress.contacts = count
            with_id += sum(row[0] is not None for row in rows)
            digest = (digest + sum(map(hash, rows))) & 0xFFFFFFFFFFFFFFFF
            store.insert("actual (id, raw, key, vals)", rows)
    except AfilnetUnprovenReadError:
        proven = False
    if with_id not in (0, count):
        raise AfilnetUnreadableAnswerError(
            f"getcontacts answered {count} contacts of which only {with_id} have an id; please report this shape.",
            method="getcontacts",
        )
    if with_id and store.one("SELECT 1 FROM actual GROUP BY id HAVING count(*) > 1 LIMIT 1"):
        raise AfilnetUnreadableAnswerError(
            "getcontacts answered one contact id twice, so ids do not tell contacts apart; please report this.",
            method="getcontacts",
        )
    return GroupRead(count, digest, proven, with_id == count, started)


def _row(
    record: ContactRecord, places: dict[str, int], fields: GroupFields, keys: KeyReader
) -> tuple[str | None, str, str, str]:
    """Values in the order of the group's columns; -1 is the key's place, -2 a name that is no column."""
    values = [""] * len(fields.others)
    raw = ""
    for name, value in record.fields.items():
        place = places.get(name)
        if place is None:
            found = fields.position(name)
            place = places[name] = -1 if name.lower() == fields.kind else -2 if found is None else found
        if place >= 0:
            values[place] = value
        elif place == -1:
            raw = value
    return record.id, raw, keys.match_form(raw), json.dumps(values, ensure_ascii=False)


def find_keys(store: Store, keys: KeyReader, check: Callable[[], None]) -> int:
    """Normalise the stored keys that no wanted, rejected or suppressed key equals; unreadable ones become null.

    :param check: called for each page of contacts; raises if the run was told to stop.
    :return: how many contacts have a key that cannot be read.
    """
    unreadable = last = 0
    store.db.execute("CREATE INDEX IF NOT EXISTS actual_by_key ON actual (key)")
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


def contact_keys(record: ContactRecord, fields: GroupFields, keys: KeyReader) -> set[str]:
    """The keys that :func:`find_keys` may have found for a contact: as it stands, and as it is read."""
    raw = next((value for name, value in record.fields.items() if name.lower() == fields.kind), "")
    try:
        return {keys.match_form(raw), keys.read(raw).compared}
    except RejectError:
        return {keys.match_form(raw)}
