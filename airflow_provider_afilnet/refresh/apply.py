"""Carry out a planned round: batches of additions, single updates, replacements and deletions over bounded connections.

Every call ends in one recorded outcome. Nothing whose outcome is unknown is sent again here: the next read decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Final, NamedTuple, TypeVar

from airflow_provider_afilnet.api.answers import read_columns
from airflow_provider_afilnet.api.calls import contact_text, contacts_json, is_text_safe
from airflow_provider_afilnet.api.client import AsyncAfilnetClient
from airflow_provider_afilnet.api.errors import (
    AfilnetAccessError,
    AfilnetConfigurationError,
    AfilnetConnectionError,
    AfilnetCredentialsError,
    AfilnetError,
    AfilnetExistsError,
    AfilnetNotFoundError,
    AfilnetOutcomeUnknownError,
    AfilnetRateLimitedError,
    AfilnetTooLargeError,
)
from airflow_provider_afilnet.api.styles import GET_LIMIT, encoded_length
from airflow_provider_afilnet.refresh.errors import AfilnetIncompleteError, AfilnetStoppedError
from airflow_provider_afilnet.refresh.options import RefreshOptions
from airflow_provider_afilnet.refresh.pace import LONGEST_PAUSE, Pace, StopFlag
from airflow_provider_afilnet.refresh.progress import Progress
from airflow_provider_afilnet.refresh.report import ReportFolder
from airflow_provider_afilnet.refresh.store import Op, Store

T = TypeVar("T")

_HOPELESS: Final = 20
"""A batch of so many contacts or more that are all refused one by one ends the additions of the run."""

_BROKEN: Final = 10
"""So many calls in a row without a clear answer, in-place retries included, end the run: the server is down."""

_PROBES: Final = 3


class Outcome(NamedTuple):
    """What became of one call: a state of :class:`~airflow_provider_afilnet.refresh.store.Op`, and a code."""

    state: str
    code: str | None = None
    too_large: bool = False


def _never_applied(error: AfilnetError) -> bool:
    """The server refused to look at it, or was not reached: the same call may go again in place, whatever it is."""
    return error.retryable and isinstance(error, (AfilnetRateLimitedError, AfilnetConnectionError))


def _passing(error: AfilnetError) -> bool:
    return error.retryable


class Applier:
    """Writes to one group.

    Counters tell the next read what to expect: ``added`` acknowledged additions, ``deleted`` contacts that are
    certainly or possibly gone, since they were last reset.
    """

    def __init__(
        self,
        client: AsyncAfilnetClient,
        group_id: str,
        store: Store,
        options: RefreshOptions,
        pace: Pace,
        stop: StopFlag,
        report: ReportFolder,
        progress: Progress,
    ) -> None:
        self._client = client
        self._group_id = group_id
        self._store = store
        self._options = options
        self._pace = pace
        self._stop = stop
        self._report = report
        self._progress = progress
        self._batch_size = options.batch_size
        self._fatal: BaseException | None = None
        self._unclear_in_a_row = 0
        self._replacing = True
        self.added = 0
        self.deleted = 0

    async def create_columns(self, names: Iterable[str]) -> None:
        """Add columns to the group; an unclear answer is settled by looking at the columns."""
        for name in names:
            self._stop.check()
            add = partial(self._client.call, "addcolumntogroup", idgroup=self._group_id, field=name)
            try:
                await self._pace.once(add)
            except AfilnetOutcomeUnknownError as error:
                self._report.note_column(name, "unknown")
                columns = read_columns(await self.read("getgroupcolumns", idgroup=self._group_id))
                if name.lower() not in (column.lower() for column in columns):
                    # Nothing else was written yet, and a repeat looks at the columns first.
                    error.retryable = True
                    raise
            except AfilnetError as error:
                self._report.note_column(name, "refused" if error.code else "unsent", error.code)
                raise
            self._report.note_column(name, "acked")

    async def read(self, method: str, **params: object) -> object:
        """One reading call, repeated in place while its errors pass."""
        return await self._pace.patiently(lambda: self._client.call(method, **params), _passing)

    # --- additions ---

    async def probe(self, total: int) -> list[tuple[Op, Outcome]]:
        """Send up to three of the planned additions one at a time by ``addcontact``, spread over the plan.

        Contacts that ``addcontact`` cannot carry are passed over.
        """
        found = []
        spread = sorted({total * part // _PROBES for part in range(_PROBES)})
        for op in self._candidates(spread, total):
            outcome = await self._write(
                "addcontact", _never_applied, contact=contact_text(op.contact, method="addcontact")
            )
            if outcome.state == "refused" and outcome.code == "CONTACT_EXISTS":
                outcome = Outcome("exists", outcome.code)
            self._record([op], outcome)
            found.append((op, outcome))
        return found

    def _candidates(self, offsets: list[int], total: int) -> list[Op]:
        """One addition at or after each offset that the text form can carry."""
        chosen: dict[int, Op] = {}
        for offset in offsets:
            for step in range(offset, min(total, offset + 50)):
                op = self._store.op_at("add", step)
                if op is not None and op.n not in chosen and is_text_safe(op.contact):
                    chosen[op.n] = op
                    break
        return list(chosen.values())

    async def add_one_as_json(self) -> str:
        """Send the first planned addition alone, where no probe was possible.

        :return: the state of its outcome; ``unsent`` if there is none to send.
        """
        for op in self._store.ops("add"):
            return (await self._send_batch([op])).state
        return "unsent"

    async def add_all(self) -> None:
        """Send the planned additions in batches, several at once."""
        await self._pool(self._batches(), self._send_whole_batch)

    def _batches(self) -> Iterator[list[Op]]:
        """Batches within ``batch_size`` and the bytes that a request may hold; both may shrink meanwhile."""
        budget = self._byte_budget()
        batch: list[Op] = []
        used = 0
        for op in self._store.ops("add"):
            size = encoded_length(self._client.settings, op.json or "") + 3
            if batch and (len(batch) >= self._batch_size or used + size > budget):
                yield batch
                batch, used = [], 0
            batch.append(op)
            used += size
        if batch:
            yield batch

    def _byte_budget(self) -> int:
        """Bytes of one encoded list that the body, ``batch_bytes`` long at most, or the GET address leaves."""
        empty = self._client.wire_length("addcontactlist", idgroup=self._group_id, contacts="[]")
        if self._client.settings.style in ("get", "basic-get"):
            return min(self._options.batch_bytes, GET_LIMIT - empty)
        return self._options.batch_bytes - empty

    async def _send_whole_batch(self, batch: list[Op]) -> None:
        await self._send_batch(batch)
        refused = self._store.one(
            "SELECT count(*) FROM ops WHERE state = 'refused' AND n BETWEEN ? AND ?", batch[0].n, batch[-1].n
        )
        if len(batch) >= _HOPELESS and refused == len(batch):
            code = self._store.one("SELECT code FROM ops WHERE n = ?", batch[0].n)
            self._fatal = AfilnetIncompleteError(
                f"Each of {len(batch)} contacts of one batch was refused with {code}, so nothing more is added. Look "
                "at one of them in the Afilnet panel, or add one by hand to see why."
            )

    async def _send_batch(self, batch: list[Op]) -> Outcome:
        """Send one list; one that is refused is halved until the bad contacts stand alone.

        :return: the outcome of the whole list; the halves are recorded.
        """
        outcome = await self._write(
            "addcontactlist", _never_applied, contacts=f"[{','.join(op.json or '' for op in batch)}]"
        )
        if outcome.state != "refused" or len(batch) == 1:
            self._record(batch, outcome)
            return outcome
        self._store.refused_together(batch)
        middle = len(batch) // 2
        if outcome.too_large:
            self._batch_size = max(1, min(self._batch_size, middle))
        await self._send_batch(batch[:middle])
        await self._send_batch(batch[middle:])
        return outcome

    # --- updates, replacements, deletions ---

    async def update_all(self) -> None:
        """One ``modifycontact`` for each planned update."""
        await self._pool(self._store.ops("update"), self._update)

    async def _update(self, op: Op) -> None:
        text = contact_text(op.contact, method="modifycontact")
        outcome = await self._write("modifycontact", _passing, idcontact=op.id, contact=text)
        self._record([op], outcome)
        self.deleted += outcome.state == "gone"

    async def replace_all(self) -> None:
        """Delete and add anew, contact by contact, so that at most one per connection is away at any moment.

        The first goes alone. When somebody does not come back, nobody else is taken away in this round.
        """
        self._replacing = True
        ops = self._store.ops("replace")
        await self._pool(islice(ops, 1), self._replace)
        await self._pool(ops, self._replace)

    async def _replace(self, op: Op) -> None:
        if not self._replacing:
            return
        deletion = await self._write("deletecontact", _passing, idcontact=op.id)
        if deletion.state not in ("acked", "gone"):
            self._record([op], deletion)
            self.deleted += deletion.state == "unknown"
            return
        self.deleted += 1
        try:
            self._store.mark([op], "deleted")
            self._report.note([op], "deleted")
        finally:
            # Also where that fails, as it does on a full disk: nobody stays away for want of a note.
            addition = await self._put_in_place(op)
            self._replacing = self._replacing and addition.state in ("acked", "restored")
            self._record([op], addition)

    async def _put_in_place(self, op: Op) -> Outcome:
        """Add a contact that was deleted to be replaced; where its new form is refused, as it was."""
        addition = await self._bring_back(op.contact)
        if addition.state == "unsent":
            return Outcome("deleted")
        if addition.state != "refused":
            return addition
        as_it_was = await self._bring_back(op.before)
        if as_it_was.state == "refused":
            self._fatal = AfilnetIncompleteError(
                f"A contact that was deleted to be replaced was refused with {addition.code}, and putting it back "
                f"was refused with {as_it_was.code}, so nobody else is replaced."
            )
        return Outcome("restored" if as_it_was.state == "acked" else "deleted", addition.code)

    async def _bring_back(self, contact: dict[str, str]) -> Outcome:
        """Add a contact that is away. Even when a stop came meanwhile: bringing it back is the last write."""
        return await self._write("addcontactlist", _never_applied, despite_stop=True, contacts=contacts_json([contact]))

    async def delete_all(self) -> None:
        """One ``deletecontact`` for each planned deletion."""
        await self._pool(self._store.ops("delete"), self._delete)

    async def _delete(self, op: Op) -> None:
        outcome = await self._write("deletecontact", _passing, idcontact=op.id)
        self._record([op], outcome)
        self.deleted += outcome.state in ("acked", "gone", "unknown")

    # --- one write ---

    async def _write(
        self,
        method: str,
        again: Callable[[AfilnetError], bool],
        *,
        despite_stop: bool = False,
        **params: object,
    ) -> Outcome:
        """Make one writing call and say what became of it; permanent errors of the whole run are raised."""

        def call() -> Awaitable[object]:
            return self._client.call(method, idgroup=self._group_id, **params)

        try:
            try:
                await self._pace.patiently(call, again)
            except AfilnetStoppedError:
                if not despite_stop:
                    raise
                await call()
        except (AfilnetStoppedError, AfilnetConfigurationError):
            raise
        except AfilnetOutcomeUnknownError:
            return Outcome("unknown")
        except (AfilnetRateLimitedError, AfilnetConnectionError) as error:
            # A server that asks for a long pause is not to be asked again for each of the other contacts.
            if not error.retryable or (error.retry_after or 0.0) > LONGEST_PAUSE:
                raise
            return Outcome("unsent")
        except AfilnetCredentialsError as error:
            # A body that the server cut off loses its user too; a wrong password is another code.
            if not (error.code or "").startswith("MISSING_"):
                raise
            return Outcome("refused", error.code, too_large=True)
        except AfilnetAccessError as error:
            await self._check_access(error)
            if error.code is not None and method in ("modifycontact", "deletecontact"):
                return Outcome("gone", error.code)
            return Outcome("refused", error.code or f"HTTP_{error.http_status}")
        except AfilnetTooLargeError as error:
            return Outcome("refused", error.code or "TOO_LARGE", too_large=True)
        except AfilnetNotFoundError as error:
            return Outcome("gone", error.code)
        except AfilnetExistsError as error:
            return Outcome("refused", error.code)
        except AfilnetError as error:
            code = error.code or (f"HTTP_{error.http_status}" if error.http_status else "NO_CODE")
            if "idcontact" in params and await self._is_gone(params["idcontact"]):
                return Outcome("gone", code)
            return Outcome("refused", code, too_large=code.startswith("MISSING_"))
        return Outcome("acked")

    async def _check_access(self, error: AfilnetAccessError) -> None:
        """``NOT_ACCESS_TO_GROUP`` of a contact call may mean the contact: the group itself is asked.

        :raises AfilnetAccessError: if it is the group.
        """
        try:
            await self.read("getgroupcolumns", idgroup=self._group_id)
        except AfilnetAccessError:
            raise error from None

    async def contact(self, record_id: object) -> object:
        """What ``getcontact`` answers for an id.

        :raises AfilnetNotFoundError: if there is no such contact, in whichever words the server says so.
        """
        try:
            return await self.read("getcontact", idgroup=self._group_id, idcontact=record_id)
        except AfilnetAccessError as error:
            await self._check_access(error)
            raise AfilnetNotFoundError(str(error), code=error.code, method=error.method) from None

    async def _is_gone(self, record_id: object) -> bool:
        """The code for a contact that is not there is not documented, so after a refusal it is asked for."""
        try:
            await self.contact(record_id)
        except AfilnetNotFoundError:
            return True
        return False

    def _record(self, ops: list[Op], outcome: Outcome) -> None:
        self._store.mark(ops, outcome.state, outcome.code)
        self._report.note(ops, outcome.state, outcome.code)
        self._progress.done += len(ops)
        self._unclear_in_a_row = self._unclear_in_a_row + 1 if outcome.state in ("unknown", "unsent") else 0
        if self._unclear_in_a_row >= _BROKEN:
            self._fatal = self._fatal or AfilnetIncompleteError(
                f"{_BROKEN} calls in a row got no clear answer, so nothing more is written now. The next run reads the "
                "group and carries on.",
                retryable=True,
            )
        if outcome.state == "acked":
            self.added += sum(op.kind in ("add", "replace") for op in ops)
        elif outcome.state == "restored":
            self.added += 1

    async def _pool(self, items: Iterable[T], work: Callable[[T], Awaitable[object]]) -> None:
        """Work through items over the allowed connections.

        After an error, calls under way end normally, so that their outcome is known; then it is raised.
        """
        shared = iter(items)

        async def worker() -> None:
            for item in shared:
                if self._fatal is not None:
                    return
                try:
                    self._stop.check()
                    await work(item)
                except Exception as error:  # noqa: BLE001 it is raised below, when the other workers are through
                    self._fatal = self._fatal or error
                    return

        await asyncio.gather(*(worker() for _ in range(self._client.settings.max_connections)))
        if self._fatal is not None:
            error, self._fatal = self._fatal, None
            raise error
