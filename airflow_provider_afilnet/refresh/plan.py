"""Compare what is wanted with the group as read: which writes are needed, which may still be made, what has failed.

The same planner serves the preview, the first round and every later one. What a run has already tried is in the store's
``ops``; the planner never plans a write that the rules of a refresh forbid to repeat, it records a failure instead.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from airflow_provider_afilnet.api.calls import is_text_safe
from airflow_provider_afilnet.api.settings import ApiFacts
from airflow_provider_afilnet.refresh import reasons
from airflow_provider_afilnet.refresh.history import ADDING, History
from airflow_provider_afilnet.refresh.normalise import is_float
from airflow_provider_afilnet.refresh.options import RefreshOptions
from airflow_provider_afilnet.refresh.source import GroupFields
from airflow_provider_afilnet.refresh.store import NewOp, Op, Store, read_values, to_line

_PAGE: Final = 2000
_TELLING: Final = 7
"""So many digits at the end of a number tell people apart."""

# A country code has one to three digits. Who is wanted by the other number, or opted out by it, is no riddle.
_OUT_WITHOUT_COUNTRY_CODE: Final = """
SELECT s.key FROM suppressed s WHERE EXISTS (
    SELECT 1 FROM actual a WHERE a.key IN (substr(s.key, 2), substr(s.key, 3), substr(s.key, 4))
    AND trim(a.raw) NOT LIKE '+%' AND trim(a.raw) NOT LIKE '00%'
    AND NOT EXISTS (SELECT 1 FROM wanted w WHERE w.key = a.key)
    AND NOT EXISTS (SELECT 1 FROM rejects r WHERE r.key = a.key)
    AND NOT EXISTS (SELECT 1 FROM suppressed o WHERE o.key = a.key)
)
"""


@dataclass(slots=True)
class Plan:
    """What one comparison found. Counts are of writes, except where they say rows."""

    adds: int = 0
    updates: int = 0
    replaces: int = 0
    later_replaces: int = 0
    deletes: dict[str, int] = field(default_factory=dict)
    unsafe_rows: int = 0
    unsafe_sample: list[str] = field(default_factory=list)
    unconfirmed: int = 0
    awaited: int = 0
    missing_acked: int = 0
    vanished: int = 0
    doubles: int = 0
    digest: str = ""

    @property
    def deleting(self) -> int:
        """Contacts that this plan would delete, replacements included, also those that wait for the next round."""
        return sum(self.deletes.values()) + self.replaces + self.later_replaces

    @property
    def writes(self) -> int:
        return self.adds + self.updates + self.deleting


class _Copy(NamedTuple):
    """One contact of the group that carries a wanted key."""

    id: str | None
    raw: str
    values: list[str]


class Planner:
    """Plans the rounds of one run over one store.

    :param check: called for each page of rows or contacts; raises if the run was told to stop.
    :param withhold: a row's key was unreadable, so that ``mirror`` may not delete what the source seems to lack.
    """

    def __init__(
        self,
        store: Store,
        fields: GroupFields,
        options: RefreshOptions,
        facts: ApiFacts,
        check: Callable[[], None],
        *,
        withhold: bool,
    ) -> None:
        self._store = store
        self._fields = fields
        self._options = options
        self._facts = facts
        self._check = check
        self._withhold = withhold
        self._ops: list[NewOp] = []
        self._failures: list[tuple[int | None, str, str | None, str, str]] = []
        self._round = 0
        self._past = History(store, check)
        self._plan = Plan()
        self._resend_unknown = False
        self._unread: dict[str, list[str]] = {}

    def plan(self, round_: int, *, resend_unknown: bool = False) -> Plan:
        """Plan a round from what the store holds; what was planned before and not carried out is planned anew.

        :param round_: 1 for the first, which also fixes what is counted for each source row.
        :param resend_unknown: additions of unknown outcome may be sent again: two equal reads lack them.
        """
        self._round, self._resend_unknown = round_, resend_unknown or self._facts.bulk_dedupes is True
        self._plan = Plan()
        self._store.db.executescript("DELETE FROM ops WHERE state = 'planned'; DELETE FROM failures;")
        self._past.look()
        if self._fields.kind == "mobile":
            # Few: more than one in a hundred stop the run.
            self._unread = {}
            for (raw,) in self._store.db.execute("SELECT raw FROM actual WHERE key IS NULL"):
                digits = _digits(raw)
                if len(digits) >= _TELLING:
                    self._unread.setdefault(digits[-_TELLING:], []).append(digits)
        if round_ == 1:
            self._reset_verdicts()
        with self._filling_ops():
            self._wanted_rows()
            self._surplus_contacts()
            self._flush()
        self._count()
        return self._plan

    @contextmanager
    def _filling_ops(self) -> Iterator[None]:
        """A million keys in any order go into an index faster when all are there, if nothing is looked up before."""
        later = not self._past.is_there and self._options.unsafe_values != "reject"
        if later:
            self._store.db.execute("DROP INDEX ops_by_key")
        try:
            yield
        finally:
            if later:
                self._store.db.execute("CREATE INDEX ops_by_key ON ops (key, kind)")

    # --- rows of the source ---

    def _reset_verdicts(self) -> None:
        """What each row counts as is fixed by the first plan; a probe that found a bad read has it made again."""
        self._store.db.executescript(
            "UPDATE wanted SET verdict = 'unchanged' WHERE verdict NOT IN ('rejected', 'unchanged');"
            "UPDATE wanted SET verdict = 'suppressed' WHERE key IN (SELECT key FROM suppressed);"
            "UPDATE wanted SET verdict = 'added' "
            "WHERE key IN (SELECT key FROM ops WHERE kind = 'add' AND state = 'acked');"
        )

    def _wanted_rows(self) -> None:
        """Walk the rows that are not settled."""
        if self._options.mode == "insert" and self._round == 1:
            self._store.db.execute(
                "UPDATE wanted SET verdict = 'skipped' WHERE verdict = 'unchanged' "
                "AND (NOT open OR key IN (SELECT key FROM actual))"
            )
            self._store.settled = "skipped"
        verdicts: list[tuple[str, int]] = []
        for key, row, sent, vals, verdict, copies in self._walk():
            found = self._row(key, row, sent, read_values(vals), verdict, copies)
            if found != verdict:
                verdicts.append((found, row))
            if len(verdicts) >= _PAGE:
                self._set_verdicts(verdicts)
        self._set_verdicts(verdicts)

    def _set_verdicts(self, verdicts: list[tuple[str, int]]) -> None:
        self._store.many("UPDATE wanted SET verdict = ? WHERE row = ?", verdicts)
        verdicts.clear()

    def _walk(self) -> Iterator[tuple[str, int, str, str, str, list[_Copy]]]:
        """Rows with all their contacts, in their order, a page at a time."""
        last = 0
        while True:
            self._check()
            page = self._store.db.execute(
                "SELECT key, row, sent, vals, verdict, EXISTS (SELECT 1 FROM actual a WHERE a.key = w.key) "
                "FROM wanted w WHERE row > ? AND open AND verdict <> 'suppressed' ORDER BY row LIMIT ?",
                (last, _PAGE),
            ).fetchall()
            if not page:
                return
            for key, row, sent, vals, verdict, is_there in page:
                yield key, row, sent, vals, verdict, self._copies_of(key) if is_there else []
            last = page[-1][1]

    def _copies_of(self, key: str) -> list[_Copy]:
        """All contacts that carry a key, the lowest id first."""
        return [
            _Copy(record_id, raw, read_values(values))
            for record_id, raw, values in self._store.db.execute(
                "SELECT id, raw, vals FROM actual WHERE key = ? ORDER BY length(id), id", (key,)
            )
        ]

    def _row(self, key: str, row: int, sent: str, wanted: list[str | None], verdict: str, copies: list[_Copy]) -> str:
        """Plan one row; returns what the row counts as."""
        mode = self._options.mode
        if verdict == "rejected":
            return verdict
        added = self._past.last(key, ADDING)
        if not copies:
            replaced = None if added is None else self._past.last(key, ("replace",))
            if added is not None and replaced is not None:
                # This run took the contact away to write it anew, so it is brought back whole, and in every mode.
                if added.state == "refused":
                    self._fail(row, key, None, "", reasons.AWAY.format(code=added.code))
                elif added.kind == "replace" and added.code is not None:
                    # Its new form was refused, and putting the old one back came to nothing yet.
                    self._add(key, row, replaced.before, None)
                else:
                    self._add(key, row, added.contact, added)
                return verdict
            if self._has_vanished(key, verdict, added):
                self._plan.vanished += 1
                self._fail(row, key, None, "", reasons.VANISHED)
                return verdict
            if mode in ("remove", "update"):
                if verdict != "removed" and self._may_be_unread(key):
                    self._fail(row, key, None, "", reasons.MAYBE_THERE)
                return "removed" if verdict == "removed" else "skipped"
            contact = {self._fields.key: sent}
            contact |= {name: value for name, value in zip(self._fields.others, wanted, strict=False) if value}
            self._add(key, row, contact, added)
            return "updated" if verdict == "updated" else "added"
        if mode == "remove":
            for copy in copies:
                self._delete(key, copy.id, row, "listed")
            return "removed"
        going = set().union(*self._surplus(key, copies))
        staying = [copy for copy in copies if copy.id is None or copy.id not in going]
        if len(staying) > 1 and self._past.may_be_stored(key):
            self._fail(row, key, None, "", reasons.TWICE)
        if mode == "insert" and (verdict in ("skipped", "unchanged") or not self._past.sent(key)):
            return "skipped"
        if self._past.is_there:
            for copy in staying:
                self._compare_the_rest(key, row, wanted, copy, copies)
        differing = [(copy, names) for copy in staying if (names := self._differences(wanted, copy.values))]
        if not differing:
            return verdict if verdict != "skipped" else "unchanged"
        if mode == "insert" and any(copy.id in going and not self._differences(wanted, copy.values) for copy in copies):
            # A lying read hid it: it was there before this run added a copy, which goes again.
            return "skipped"
        if mode == "insert":
            for copy, names in differing:
                self._fail(row, key, copy.id, ", ".join(names), reasons.NOT_REWRITTEN, waits=True)
            return verdict
        outcome = verdict if verdict in ("added", "updated") else "updated"
        for copy, names in differing:
            if not self._rewrite(key, row, wanted, copy, names, copies, soon=len(staying) == 1):
                self._forget(key)  # its other copies stay as they are, too
                return "rejected"
        return outcome

    def _has_vanished(self, key: str, verdict: str, added: Op | None) -> bool:
        """The first read showed it, this one does not, and nothing that this run did or heard explains why."""
        mode = self._options.mode
        was_there = verdict in ("unchanged", "updated") or (verdict == "skipped" and mode == "insert")
        if self._round == 1 or mode == "remove" or not was_there or added is not None:
            return False
        written = self._past.last(key, ("update", "delete"))
        return written is None or written.state in ("acked", "refused")

    def _differences(self, wanted: list[str | None], stored: list[str]) -> list[str]:
        """Names of the fields that need writing; a difference in lossy fields alone is no reason to write."""
        names = [
            name
            for name, want, have in zip(self._fields.others, wanted, stored, strict=False)
            if want is not None and not self._is_same(name, want, have)
        ]
        return names if any(not self._is_lossy(name) for name in names) else []

    def _compare_the_rest(self, key: str, row: int, wanted: list[str | None], copy: _Copy, copies: list[_Copy]) -> None:
        """A write sends the whole contact: what the source does not give must have stayed as it was."""
        written = (
            self._past.last(key, ("update",), copy.id)
            or self._past.last(key, ("replace",))
            or self._past.write_of_another_id(key, copy.id, [other.id for other in copies])
        )
        if written is None or written.state in ("unsent", "refused", "gone"):
            return
        # A column that this run created was not there before.
        changed = [
            name
            for name, want, have in zip(self._fields.others, wanted, copy.values, strict=False)
            if want is None
            and not self._is_same(name, written.before.get(name, ""), have)
            # A server may store it in any other form, but not lose it.
            and not (have and self._is_lossy(name))
        ]
        if changed:
            self._fail(row, key, copy.id, ", ".join(changed), reasons.CHANGED_BESIDE)

    def _may_be_unread(self, key: str) -> bool:
        """Whether a contact whose key cannot be read may have this one: the longer number ends in the shorter."""
        found = self._unread.get(key[-_TELLING:], ()) if self._unread else ()
        return any(key.endswith(digits) or digits.endswith(key) for digits in found)

    def _is_same(self, name: str, want: str, have: str) -> bool:
        return want == have or (self._is_lossy(name) and _folded(want) == _folded(have))

    def _is_lossy(self, name: str) -> bool:
        return name.lower() in self._options.lossy_fields

    # --- writes, as far as they may still be made ---

    def _add(self, key: str, row: int, contact: dict[str, str], before: Op | None) -> None:
        if before is not None and before.state in ("acked", "exists"):
            self._plan.missing_acked += 1
            self._fail(row, key, None, "", reasons.NOT_SHOWN, waits=True)
        elif before is not None and before.state == "refused":
            self._fail(row, key, None, "", f"refused with {before.code}")
        elif before is not None and before.state == "unknown" and not self._resend_unknown:
            self._plan.unconfirmed += 1
            self._fail(row, key, None, "", reasons.UNCONFIRMED)
        elif before is None and self._may_be_unread(key):
            self._fail(row, key, None, "", reasons.MAYBE_THERE)
        else:
            self._ops.append(("add", key, None, row, _dump(contact), "", None))
            self._flush_if_full()

    def _rewrite(
        self,
        key: str,
        row: int,
        wanted: list[str | None],
        copy: _Copy,
        names: list[str],
        copies: list[_Copy],
        *,
        soon: bool,
    ) -> bool:
        """Plan an update or a replacement; false if the row is rejected because no writer can carry it.

        :param copies: all contacts that have the key.
        :param soon: no other will have it, when this round's deletions are done.
        """
        before = self._past.last(key, ("update", "replace"), copy.id)
        if before is None:
            before = self._past.write_of_another_id(key, copy.id, [other.id for other in copies])
        replaced = self._past.last(key, ("replace",))
        shown = ", ".join(names)
        if copy.id is None:
            self._fail(row, key, None, shown, "it differs, and the group's answer has no ids to update it by")
            return True
        # A code: it was refused, and putting the contact back came to whatever the group shows now.
        put_back = replaced is not None and (replaced.state == "restored" or replaced.code is not None)
        if before is None and replaced is not None and (replaced.state == "acked" or put_back):
            before = replaced
        if before is not None and before.state == "acked":
            self._fail(row, key, copy.id, shown, reasons.STILL_DIFFERS, waits=True)
            return True
        if before is not None and (before.state == "refused" or (before.kind == "replace" and put_back)):
            back = ", so it was put back as it was" if put_back else ""
            self._fail(row, key, copy.id, shown, f"refused with {before.code}{back}")
            return True
        merged = dict(zip(self._fields.others, copy.values, strict=True))
        changed = {name: want for name, want in zip(self._fields.others, wanted, strict=False) if want is not None}
        # What is blank and stays so is not sent: a column may only seem blank, such as one that lists the contact's id.
        whole = {self._fields.key: copy.raw}
        whole |= {name: value for name, value in {**merged, **changed}.items() if value or name in changed}
        update = {self._fields.key: copy.raw, **changed} if self._facts.modify_merges else whole
        stored = _dump({name: value for name, value in {self._fields.key: copy.raw, **merged}.items() if value})
        if is_text_safe(update):
            self._ops.append(("update", key, copy.id, row, _dump(update), shown, stored))
        elif self._options.unsafe_values == "replace" and len(copies) == 1:
            anew = {name: value for name, value in whole.items() if value}
            self._ops.append(("replace", key, copy.id, row, _dump(anew), shown, stored))
        elif self._options.unsafe_values == "replace" and soon and self._round == 1:
            # A server that skips keys it knows would not add it anew while its double is there: the next round does.
            self._plan.later_replaces += 1
        elif self._round > 1:
            self._fail(
                row, key, copy.id, shown, "it differs, and holds a comma or a colon that modifycontact cannot carry"
            )
        elif self._options.unsafe_values == "reject":
            self._store.insert(
                "rejects", [(row, key, shown, "holds a comma or a colon that modifycontact cannot carry", "{}")]
            )
            return False
        else:
            self._plan.unsafe_rows += 1
            if len(self._plan.unsafe_sample) < 10:
                self._plan.unsafe_sample.append(f"row {row}")
        self._flush_if_full()
        return True

    def _delete(self, key: str, record_id: str | None, row: int | None, why: str) -> None:
        if record_id is None:
            self._fail(row, key, None, "", "it should be deleted, but the group's answer has no ids")
            return
        before = self._past.last(key, ("delete",), record_id)
        if before is not None and before.state in ("acked", "gone"):
            self._fail(row, key, record_id, "", reasons.SHOWS_AGAIN, waits=True)
        elif before is not None and before.state == "refused":
            self._fail(row, key, record_id, "", f"its deletion was refused with {before.code}")
        elif why != "extra" and not self._past.seen_first(record_id):
            self._fail(row, key, record_id, "", reasons.APPEARED)
        else:
            self._ops.append(("delete", key, record_id, row, None, why, None))
            self._flush_if_full()

    def _fail(
        self, row: int | None, key: str, record_id: str | None, names: str, reason: str, *, waits: bool = False
    ) -> None:
        """Note a difference that may not be written; ``waits``: it may still vanish while the group settles."""
        self._plan.awaited += waits
        self._failures.append((row, key, record_id, names, reason))
        self._flush_if_full()

    # --- contacts that are not wanted, or are there more than once ---

    def _surplus_contacts(self) -> None:
        for key, record_id in self._contacts("EXISTS (SELECT 1 FROM suppressed s WHERE s.key = a.key)"):
            self._delete(key, record_id, None, "suppressed")
        mirror = self._options.mode == "mirror"
        if self._unread:
            for (key,) in self._store.db.execute("SELECT key FROM suppressed"):
                if self._may_be_unread(key):
                    self._fail(None, key, None, "", reasons.MAYBE_OPTED_OUT)
        if self._fields.kind == "mobile" and (self._withhold or not mirror):
            # A mirror deletes that contact anyway.
            for (key,) in self._store.db.execute(_OUT_WITHOUT_COUNTRY_CODE):
                self._fail(None, key, None, "", reasons.MAYBE_OPTED_OUT_HERE)
        if mirror:
            for raw, record_id in self._store.db.execute("SELECT raw, id FROM actual WHERE key IS NULL"):
                self._fail(None, raw, record_id, "", reasons.UNREADABLE)
            stale = (
                "NOT EXISTS (SELECT 1 FROM wanted w WHERE w.key = a.key) "
                "AND NOT EXISTS (SELECT 1 FROM suppressed s WHERE s.key = a.key) "
                "AND NOT EXISTS (SELECT 1 FROM rejects r WHERE r.key = a.key)"
            )
            for key, record_id in self._contacts(stale):
                if self._withhold:
                    self._fail(None, key, record_id, "", reasons.WITHHELD)
                else:
                    self._delete(key, record_id, None, "stale")
        if self._options.mode != "remove":
            self._copies()

    def _contacts(self, condition: str) -> Iterator[tuple[str, str | None]]:
        """Contacts with a readable key that meet a condition, page by page."""
        last = -1
        while True:
            self._check()
            page = self._store.db.execute(
                f"SELECT n, key, id FROM actual a WHERE n > ? AND key IS NOT NULL AND {condition} ORDER BY n LIMIT ?",
                (last, _PAGE),
            ).fetchall()
            if not page:
                return
            last = page[-1][0]
            for _, key, record_id in page:
                yield key, record_id

    def _surplus(self, key: str, copies: Sequence[_Copy]) -> tuple[list[str], list[str]]:
        """Which of several contacts with one wanted key go: copies that this run made, and older ones in a mirror.

        Of copies that the first read did not show, those with the highest ids go, and only as many as this run may have
        made, since a bad read may have hidden others. Of older ones the lowest id survives, but first of all one that
        this run has not deleted yet, as a late read may still show those, and then one whose key is the wanted one as
        it stands, which a rewrite may change.

        :param copies: all of them, the lowest id first; none goes where they have no ids.
        """
        known = [(copy.id, copy.raw) for copy in copies if copy.id is not None]
        if len(known) < 2:
            return [], []
        old = [(found, raw) for found, raw in known if self._past.seen_first(found)]
        new = [found for found, raw in known if (found, raw) not in old]
        mine = self._past.still_there(key, [found for found, _ in known])
        extra = (new if old else new[1:])[-mine:] if mine else []
        best_first = sorted(old, key=lambda copy: (self._past.is_deleted(key, copy[0]), copy[1] != key))
        return extra, [found for found, _ in best_first[1:]] if self._removes_old else []

    @property
    def _removes_old(self) -> bool:
        return self._options.mode == "mirror" and not self._withhold

    def _copies(self) -> None:
        """Delete surplus contacts with one wanted key. A rejected row protects all of its own."""
        for key in self._doubled():
            copies = self._copies_of(key)
            extra, duplicate = self._surplus(key, copies)
            for found in extra:
                self._delete(key, found, None, "extra")
            for found in duplicate:
                self._delete(key, found, None, "duplicate")
            if len(copies) - len(extra) - len(duplicate) > 1:
                self._plan.doubles += 1
                if self._options.mode == "mirror":
                    self._fail(None, key, None, "", reasons.APPEARED if self._removes_old else reasons.WITHHELD_COPIES)

    def _doubled(self) -> Iterator[str]:
        """Wanted keys that more than one contact has, page by page."""
        last = ""
        while True:
            self._check()
            page = self._store.db.execute(
                "SELECT key FROM actual a WHERE key > ? AND EXISTS "
                "(SELECT 1 FROM wanted w WHERE w.key = a.key AND w.verdict NOT IN ('suppressed', 'rejected')) "
                "GROUP BY key HAVING count(*) > 1 ORDER BY key LIMIT ?",
                (last, _PAGE),
            ).fetchall()
            if not page:
                return
            last = page[-1][0]
            yield from (key for (key,) in page)

    def _forget(self, key: str) -> None:
        """Take back what this plan holds for a key."""
        self._flush()
        for table in ("ops WHERE state = 'planned' AND", "failures WHERE"):
            self._store.db.execute(f"DELETE FROM {table} key = ?", (key,))

    # --- bookkeeping ---

    def _flush_if_full(self) -> None:
        if len(self._ops) >= _PAGE or len(self._failures) >= _PAGE:
            self._flush()

    def _flush(self) -> None:
        self._store.add_ops(self._ops)
        self._store.watch(op[1] for op in self._ops if op[0] in ("update", "replace"))
        self._ops.clear()
        self._store.insert("failures", self._failures)
        self._failures.clear()

    def _count(self) -> None:
        plan = self._plan
        for kind, why, number in self._store.db.execute(
            "SELECT kind, CASE kind WHEN 'delete' THEN why END, count(*) FROM ops WHERE state = 'planned' GROUP BY 1, 2"
        ).fetchall():
            if kind == "add":
                plan.adds = number
            elif kind == "update":
                plan.updates = number
            elif kind == "replace":
                plan.replaces = number
            else:
                plan.deletes[why] = number
        # A sum, so that the order does not matter, which is the order of the rows.
        digest = 0
        for number, line in enumerate(
            self._store.db.execute(
                "SELECT kind || char(0) || key || char(0) || ifnull(id, '') || char(0) || ifnull(contact, '') FROM ops "
                "WHERE state = 'planned'"
            )
        ):
            if not number % _PAGE:
                self._check()
            digest += int.from_bytes(hashlib.blake2b(line[0].encode(), digest_size=16).digest())
        plan.digest = f"{digest % 2**128:032x}"


def _dump(contact: dict[str, str]) -> str:
    return to_line(contact).decode()


def _digits(phone: str) -> str:
    """A number's digits without leading zeros, which are left to how it is written."""
    if is_float(phone.strip()):
        phone = phone.partition(".")[0]
    return "".join(filter(str.isdecimal, phone)).lstrip("0")


def _folded(text: str) -> Any:
    return unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n").strip())
