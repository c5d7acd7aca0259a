"""Read, plan, guard, apply, and again until the plan is empty: first run, repeat, crash recovery and proof alike.

The group is the only state. A lost answer, a half-applied batch, a killed run and a change by hand are the same case:
the next read shows what is missing. A read may lie, though, so additions are probed before they go in bulk, ids are
checked before anything is changed by them, and nothing that was acknowledged is sent twice.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from typing import Final

from airflow_provider_afilnet.api.answers import read_contact
from airflow_provider_afilnet.api.client import AsyncAfilnetClient
from airflow_provider_afilnet.api.errors import AfilnetNotFoundError
from airflow_provider_afilnet.api.masking import mask_key
from airflow_provider_afilnet.refresh.apply import Applier
from airflow_provider_afilnet.refresh.compare import compare
from airflow_provider_afilnet.refresh.errors import AfilnetLyingReadError
from airflow_provider_afilnet.refresh.group_read import GroupRead, contact_keys, read_group
from airflow_provider_afilnet.refresh.guardrails import check_plan, check_proof, check_read, check_rejects
from airflow_provider_afilnet.refresh.normalise import KeyReader
from airflow_provider_afilnet.refresh.options import RefreshOptions
from airflow_provider_afilnet.refresh.pace import Pace
from airflow_provider_afilnet.refresh.plan import Plan, Planner
from airflow_provider_afilnet.refresh.progress import Progress
from airflow_provider_afilnet.refresh.report import ReportFolder
from airflow_provider_afilnet.refresh.source import GroupFields, SourceCounts
from airflow_provider_afilnet.refresh.store import Store, read_values

log = logging.getLogger(__name__)

MAX_ROUNDS: Final = 3
_PROBE_TIMES: Final = 3
_LOOKS: Final = 3
_PAGE: Final = 2000


class Converger:
    """One run over one group; :meth:`first_read`, then :meth:`run`, on one event loop."""

    def __init__(
        self,
        client: AsyncAfilnetClient,
        group_id: str,
        store: Store,
        fields: GroupFields,
        keys: KeyReader,
        options: RefreshOptions,
        source: SourceCounts,
        applier: Applier,
        pace: Pace,
        report: ReportFolder,
        progress: Progress,
        check: Callable[[], None],
    ) -> None:
        self._client = client
        self._group_id = group_id
        self._store = store
        self._fields = fields
        self._keys = keys
        self._options = options
        self._source = source
        self._applier = applier
        self._pace = pace
        self._report = report
        self._progress = progress
        self._check = check
        withhold = bool(source.unreadable_keys) and not options.delete_despite_rejects
        self._planner = Planner(store, fields, options, client.settings.facts, check, withhold=withhold)
        self._read = GroupRead(0, 0, True, True, 0.0)
        self._first_size = 0
        self._unread_first = self._unread_now = 0
        self._bulk_proven = False
        self._ids_checked = False
        self.rounds = 0
        self.first_digest = ""

    async def first_read(self) -> None:
        """Read the group for the first time."""
        self._read = await self._read_group()
        self._first_size = self._read.count

    async def run(self) -> Plan:
        """Plan, guard and write until nothing is left to write.

        :return: the last plan; what it lists as failures still differs.
        :raises AfilnetError: a guardrail, a read that lies, or a permanent error of the API.
        """
        plan = self._first_plan()
        self.first_digest = plan.digest
        log.info(
            "Refresh of group %s: %s contacts there; plan: %s to add, %s to update, %s to replace, %s to delete.",
            self._group_id,
            self._read.count,
            plan.adds,
            plan.updates,
            plan.replaces,
            sum(plan.deletes.values()),
        )
        if plan.doubles:
            log.warning("%s keys are in the group more than once; all copies are kept equal.", plan.doubles)
        if self._options.dry_run:
            self._report.note_plan(self._fields.to_create, self._store)
            return plan
        while plan.writes and self.rounds < MAX_ROUNDS:
            self.rounds += 1
            self._progress.begin_round(plan.writes)
            waiting = plan.later_replaces
            await self._apply(plan)
            self._report.keep_journal()
            if not self._options.verify and not waiting and self._all_acknowledged():
                return Plan()
            plan = await self._settled()
            if plan.missing_acked:
                break
            self._guard(plan)
        self._fail_leftovers()
        return plan

    def _first_plan(self) -> Plan:
        self._unread_first = unreadable = compare(self._store, self._keys, self._check)
        check_read(self._read, unreadable, self._fields, self._options)
        if unreadable:
            log.warning(
                "%s contacts of the group have a %s that cannot be read; they are left as they are.",
                unreadable,
                self._fields.key,
            )
        plan = self._planner.plan(1)
        check_rejects(self._store, self._source.rows, self._options)
        self._guard(plan)
        check_proof(self._read, plan, self._options)
        return plan

    def _guard(self, plan: Plan) -> None:
        deleted = self._store.one(
            "SELECT count(DISTINCT id) FROM ops WHERE kind IN ('delete', 'replace') "
            "AND state NOT IN ('planned', 'unsent') AND NOT (kind = 'delete' AND state = 'refused') "
            "AND id NOT IN (SELECT id FROM ops WHERE kind IN ('delete', 'replace') AND state = 'planned')"
        )
        untouched = (
            self._store.one("SELECT 1 FROM ops WHERE state NOT IN ('planned', 'unsent', 'refused') LIMIT 1") is None
        )
        check_plan(plan, self._first_size, int(deleted), self._options, first=untouched)

    # --- reading ---

    async def _read_group(self) -> GroupRead:
        """Read the whole group, again in place while errors pass."""

        async def once() -> GroupRead:
            return await read_group(
                self._client, self._group_id, self._store, self._fields, self._keys, self._progress, self._check
            )

        return await self._pace.patiently(once, lambda error: error.retryable)

    async def _read_again(self) -> GroupRead:
        """Any read after the first, which is kept in mind: only contacts seen there may be deleted for being stale."""
        if self._store.first_group is None:
            self._store.first_group = self._store.group
        read = await self._read_group()
        self._unread_now = compare(self._store, self._keys, self._check)
        return read

    async def _settled(self) -> Plan:
        """Read and plan until what was acknowledged shows, or ``settle`` is over; then settle what is unknown.

        :raises AfilnetLyingReadError: if the group shows fewer contacts than it must.
        """
        deadline = time.monotonic() + self._options.settle
        pause = 0.25
        while True:
            read = await self._read_again()
            plan = self._planner.plan(self.rounds + 1)
            left = deadline - time.monotonic()
            if (read.proven and not plan.awaited and not self._lacking(read, plan)) or left <= 0:
                break
            await self._pace.sleep(min(pause, left))
            pause *= 2
        if not read.proven:
            raise AfilnetLyingReadError(
                "The group was written to and getcontacts still answers null, so nothing more is written. Look at the "
                "group in the Afilnet panel."
            )
        if plan.missing_acked or self._lacking(read, plan):
            self._check_new_keys()
        self._check_window(read)
        self._believe(read, plan)
        return await self._confirmed(plan) if plan.unconfirmed else plan

    def _lacking(self, read: GroupRead, plan: Plan) -> int:
        """How many contacts must be there and are not shown, acknowledged additions of single rows aside."""
        short = self._read.count + self._applier.added - self._applier.deleted - read.count
        return max(0, short - plan.missing_acked, plan.vanished)

    def _check_new_keys(self) -> None:
        """What was added may be there under a key that cannot be read back.

        :raises AfilnetLyingReadError: if more keys cannot be read than before this run wrote.
        """
        new = self._unread_now - self._unread_first
        if new > 0:
            region = " Set default_region (and bare_numbers)." if self._fields.kind == "mobile" else ""
            raise AfilnetLyingReadError(
                f"{new} contacts that were not there before have a {self._fields.key!r} that cannot be read, so the "
                f"server stores keys in another form than they are sent, and who was written cannot be found again."
                f"{region} Nothing more is written."
            )

    def _check_window(self, read: GroupRead) -> None:
        """Contacts that move up into an answer where others were deleted show that it is cut off.

        :raises AfilnetLyingReadError: if it shows as many as before deletions, a round number, and unknown ones.
        """
        if read.count != self._read.count or not read.may_be_cut_off or not self._applier.deleted:
            return
        strangers = sum(1 for _ in self._strangers())
        if strangers:
            raise AfilnetLyingReadError(
                f"The group showed {self._read.count} contacts, {self._applier.deleted} were deleted, and it shows "
                f"{read.count} again, {strangers} of them for the first time: its answer is cut off, and who is beyond "
                "the cut cannot be seen. Nothing more is written. Ask Afilnet for the limit of getcontacts."
            )

    def _strangers(self) -> Iterator[str]:
        """Contacts that the first read did not show and that this run did not add, by their ids."""
        store = self._store
        store.db.execute("CREATE INDEX IF NOT EXISTS actual_by_id ON actual (id)")
        for number, (record_id, raw) in enumerate(store.shown()):
            if not number % _PAGE:
                self._check()
            if record_id is not None and not store.first_seen(record_id, self._check):
                key = self._keys.match_form(raw)
                found = store.one("SELECT key FROM actual WHERE id = ?", record_id)
                if store.one("SELECT 1 FROM ops WHERE key = ? AND kind IN ('add', 'replace')", found or key) is None:
                    yield record_id

    def _believe(self, read: GroupRead, plan: Plan) -> None:
        """Take a read as the state to compare the next one with.

        :raises AfilnetLyingReadError: if it shows fewer contacts than there must be.
        """
        if self._unread_now > self._unread_first:
            # The first read did not show them; as few as it did show stay few when others are deleted.
            check_read(read, self._unread_now, self._fields, self._options, first=False)
        if lacking := self._lacking(read, plan):
            raise AfilnetLyingReadError(
                f"The group shows {read.count} contacts and lacks at least {lacking} that must be there "
                f"({self._read.count} before, {self._applier.added} added, {self._applier.deleted} deleted), so what "
                "it answers is cut off, late or somebody else deletes; nothing more is written."
            )
        self._read = read
        self._applier.added = self._applier.deleted = 0

    async def _confirmed(self, plan: Plan) -> Plan:
        """Additions of unknown outcome go again only after two equal reads ``settle`` apart lack them."""
        for _ in range(_LOOKS):
            await self._pace.sleep(self._read.started + self._options.settle - time.monotonic())
            second = await self._read_again()
            still = (second.count, second.digest) == (self._read.count, self._read.digest)
            plan = self._planner.plan(self.rounds + 1, resend_unknown=still and second.proven)
            if not second.proven:
                raise _null_now()
            self._believe(second, plan)
            if not plan.unconfirmed:
                break
        return plan

    # --- writing ---

    async def _apply(self, plan: Plan) -> None:
        if self.rounds == 1:
            await self._applier.create_columns(self._fields.to_create)
        if plan.adds and not self._bulk_proven:
            proven = await self._prove(plan)
            if proven is None:
                return
            plan = proven
        if plan.adds:
            await self._applier.add_all()
        if (plan.updates or plan.deleting) and await self._ids_are_right():
            self._report.back_up(self._contacts_to_touch())
            await self._applier.update_all()
            await self._applier.replace_all()
            await self._applier.delete_all()

    async def _prove(self, plan: Plan) -> Plan | None:
        """Probe the planned additions before the first goes in bulk.

        :return: the plan to carry out now; ``None`` if nothing was proven, so that the round ends without bulk.
        :raises AfilnetLyingReadError: if the group holds contacts that its answer does not show.
        """
        for _ in range(_PROBE_TIMES):
            if not plan.adds:
                return plan
            tried = await self._applier.probe(plan.adds)
            states = {outcome.state for _, outcome in tried}
            if "exists" in states:
                plan = await self._look_again([op.key for op, outcome in tried if outcome.state == "exists"])
            elif "acked" in states:
                self._bulk_proven = True
                # Where the answer may have been cut off, the probes must show before bulk goes.
                return await self._shown() if not self._read.proven or self._read.may_be_cut_off else plan
            elif not tried:
                state = await self._applier.add_one_as_json()
                if state == "acked":
                    self._bulk_proven = True
                    return await self._shown()
                if state != "refused":
                    return None
            elif states & {"unknown", "unsent"}:
                return None
        if "exists" in states:
            raise AfilnetLyingReadError(
                "addcontact keeps answering that planned contacts exist already while each new read lacks others, so "
                "the group's answer cannot be trusted; nothing was sent in bulk."
            )
        return None

    async def _look_again(self, keys: list[str]) -> Plan:
        """The group holds contacts that the read lacked: read again after ``settle``, they must show now."""
        await self._pace.sleep(self._options.settle)
        read = await self._read_again()
        # A null answer hides them all.
        hidden = [key for key in keys if not self._store.shows_key(key)]
        if hidden:
            raise AfilnetLyingReadError(
                f"addcontact answered CONTACT_EXISTS for {len(keys)} contacts that getcontacts did not show, and "
                f"{len(hidden)} of them still do not show after {self._options.settle:g} s (such as "
                f"{mask_key(keys[0])}), so its answer is cut off or late; nothing was sent in bulk."
            )
        plan = self._planner.plan(self.rounds)
        self._believe(read, plan)
        self._guard(plan)
        return plan

    async def _shown(self) -> Plan | None:
        """What was just added one by one must show before anything goes in bulk."""
        plan = await self._settled()
        if plan.missing_acked:
            raise AfilnetLyingReadError(
                f"{plan.missing_acked} contacts were added one by one and acknowledged, and the group does not show "
                f"them after {self._options.settle:g} s, so its answer is cut off or late; nothing was sent in bulk."
            )
        if plan.unconfirmed:
            return None
        # The first read may have been wrong about whom it did not show; nothing but probes was written since.
        plan = self._planner.plan(self.rounds)
        self._guard(plan)
        return plan

    async def _ids_are_right(self) -> bool:
        """Before the first update or deletion: the contact with the highest planned id must have the key it showed.

        The highest, because ids that are really positions agree with the true ones until the first gap.

        :return: false if those that were asked for were not found, so that the round ends and the group is read anew.
        :raises AfilnetLyingReadError: if an id answers another contact, or none although it is still shown.
        """
        if self._ids_checked:
            return True
        candidates = self._store.db.execute(
            "SELECT id, key FROM ops WHERE state = 'planned' AND id IS NOT NULL "
            "ORDER BY length(id) DESC, id DESC LIMIT 3"
        ).fetchall()
        missing = []
        for record_id, key in candidates:
            if await self._has_key(record_id, key):
                self._ids_checked = True
                return True
            missing.append((record_id, key))
        read = await self._read_again()
        if not read.proven:
            raise _null_now()
        for record_id, key in missing:
            if any(record_id == shown for shown, _ in self._store.shown()):
                if not await self._has_key(record_id, key):
                    raise _wrong_ids(record_id, key)
                self._ids_checked = True
            else:
                self._store.many("UPDATE ops SET state = 'gone' WHERE state = 'planned' AND id = ?", [(record_id,)])
                self._applier.deleted += 1
        return False

    async def _has_key(self, record_id: str, key: str) -> bool:
        """Whether the contact with this id has this key; false if there is no such contact.

        :raises AfilnetLyingReadError: if it has another one.
        """
        try:
            result = await self._applier.contact(record_id)
        except AfilnetNotFoundError:
            return False
        if key not in contact_keys(read_contact(result, record_id), self._fields, self._keys):
            raise _wrong_ids(record_id, key)
        return True

    def _contacts_to_touch(self) -> Iterator[dict[str, str]]:
        """Whole contacts, as stored, that the planned writes will change or delete.

        Blank values stand there too, so that a restore can clear what the run fills. Of a key that is there more than
        once all copies come, the one that survives first, so that a restore which takes the first never gives it
        the values of another.
        """
        for raw, vals in self._store.db.execute(
            "SELECT raw, vals FROM actual WHERE key IN (SELECT key FROM ops WHERE state = 'planned' AND id IS NOT NULL)"
            " ORDER BY raw <> key, length(id), id"
        ):
            self._check()
            yield {self._fields.key: raw, **dict(zip(self._fields.others, read_values(vals), strict=True))}

    def _all_acknowledged(self) -> bool:
        return self._store.one("SELECT 1 FROM ops WHERE state <> 'acked' LIMIT 1") is None

    def _fail_leftovers(self) -> None:
        """Writes that are still planned after the last round did not happen."""
        self._store.db.execute(
            "INSERT INTO failures SELECT row, key, id, CASE WHEN kind IN ('update', 'replace') THEN why ELSE '' END, ? "
            "FROM ops WHERE state = 'planned'",
            (f"not done after {self.rounds} rounds",),
        )


def _wrong_ids(record_id: str, key: str) -> AfilnetLyingReadError:
    return AfilnetLyingReadError(
        f"getcontact of id {record_id} does not answer the contact that getcontacts shows under that id "
        f"({mask_key(key)}), so ids are not what they seem; nobody was updated or deleted."
    )


def _null_now() -> AfilnetLyingReadError:
    return AfilnetLyingReadError(
        "getcontacts showed the group and now answers null, so nothing more is written. Look at the group in the "
        "Afilnet panel."
    )
