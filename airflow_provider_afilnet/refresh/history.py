"""What a run has done for a key so far, as its writes in the store tell: whom it added, rewrote and deleted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from airflow_provider_afilnet.refresh.store import Op, Store

ADDING: Final = ("add", "replace")
"""Kinds of writes that make a contact."""


class History:
    """The past of one run. Before its first write nothing needs to be looked up, which is said by ``is_there``.

    :param check: called for each page of contacts that is read; raises if the run was told to stop.
    """

    def __init__(self, store: Store, check: Callable[[], None]) -> None:
        self._store = store
        self._check = check
        self.is_there = False

    def look(self) -> None:
        """Find out whether anything was tried yet."""
        self.is_there = self._store.one("SELECT 1 FROM ops WHERE state <> 'planned' LIMIT 1") is not None

    def last(self, key: str, kinds: Sequence[str], record_id: str | None = None) -> Op | None:
        """The newest write of these kinds for a key (and a contact) that was carried out or tried."""
        return self._store.last_op(key, kinds, record_id) if self.is_there else None

    def seen_first(self, record_id: str) -> bool:
        """Whether the first read of the run showed this id."""
        return not self.is_there or self._store.first_seen(record_id, self._check)

    def is_deleted(self, key: str, record_id: str) -> bool:
        """Whether this run has deleted the contact, as far as it knows."""
        deletion = self.last(key, ("delete",), record_id)
        return deletion is not None and deletion.state in ("acked", "gone", "unknown")

    def write_of_another_id(self, key: str, record_id: str | None, shown: Sequence[str | None]) -> Op | None:
        """The update that made this contact, where a server gives a contact another id when it writes it.

        :param shown: the ids of all contacts with the key.
        """
        if record_id is None or self.seen_first(record_id):
            return None
        written = self.last(key, ("update",))
        return None if written is None or written.id in shown else written

    def sent(self, key: str) -> bool:
        """Whether this run has sent a contact with this key that may be there."""
        return self._any(key, "kind IN ('add', 'replace') AND state IN ('acked', 'unknown', 'deleted')")

    def may_be_stored(self, key: str) -> bool:
        """Whether an addition of this run may have made a contact, also one that the server says it refused."""
        return self._any(
            key, "kind = 'add' AND (state IN ('acked', 'unknown') OR state = 'refused' AND code <> 'CONTACT_EXISTS')"
        )

    def still_there(self, key: str, shown: Sequence[str]) -> int:
        """How many contacts with this key the run has made at most, less those that it has deleted again.

        :param shown: the ids of all contacts with the key.
        """
        if not self.sent(key):
            return 0
        # A replacement may have been added and put back; a list that was refused may have been stored all the same.
        made = self._store.one(
            "SELECT sum(CASE kind WHEN 'replace' THEN 2 ELSE 1 END + refusals) FROM ops WHERE key = ? "
            "AND kind IN ('add', 'replace') AND state IN ('acked', 'unknown', 'deleted')",
            key,
        )
        deleted = self._store.db.execute(
            "SELECT DISTINCT id FROM ops WHERE key = ? AND kind = 'delete' AND why = 'extra' "
            "AND state IN ('acked', 'gone', 'unknown')",
            (key,),
        )
        return max(0, int(made) - sum(found not in shown for (found,) in deleted))

    def _any(self, key: str, condition: str) -> bool:
        return (
            self.is_there
            and self._store.one(f"SELECT 1 FROM ops WHERE key = ? AND {condition} LIMIT 1", key) is not None
        )
