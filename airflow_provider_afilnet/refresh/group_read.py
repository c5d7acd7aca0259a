"""Read a group into the store, and know what the read is worth."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter

from airflow_provider_afilnet.api.answers import ContactRecord
from airflow_provider_afilnet.api.client import AsyncAfilnetClient
from airflow_provider_afilnet.api.contact_slices import ContactTable
from airflow_provider_afilnet.api.errors import AfilnetUnprovenReadError, AfilnetUnreadableAnswerError
from airflow_provider_afilnet.refresh.normalise import KeyReader, RejectError
from airflow_provider_afilnet.refresh.progress import Progress
from airflow_provider_afilnet.refresh.source import GroupFields
from airflow_provider_afilnet.refresh.spool import Printer, fingerprint
from airflow_provider_afilnet.refresh.store import Store, to_line

Contact = tuple[str | None, ...]


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
    client: AsyncAfilnetClient,
    group_id: str,
    store: Store,
    fields: GroupFields,
    keys: KeyReader,
    progress: Progress,
    check: Callable[[], None],
) -> GroupRead:
    """Stream the group into the store, replacing the last read; a comparison comes next.

    :param check: called for each page of contacts where ids are compared; raises if the run was told to stop.
    :raises AfilnetUnreadableAnswerError: if only some contacts have ids, or an id comes twice.
    """
    started = time.monotonic()
    spool = store.begin_read()
    reader = _Reader(fields, keys, store.printer)
    digest = 0
    proven = True
    try:
        async for table in client.contact_tables(group_id):
            lines, hashes, prints = reader.read(table)
            spool.lines.extend(lines)
            spool.prints.extend(hashes, prints)
            digest = (digest + sum(map(hash, lines))) & 0xFFFFFFFFFFFFFFFF
            progress.contacts = reader.count
    except AfilnetUnprovenReadError:
        proven = False
    count, with_id = reader.count, reader.with_id
    if with_id not in (0, count):
        raise AfilnetUnreadableAnswerError(
            f"getcontacts answered {count} contacts of which only {with_id} have an id; please report this shape.",
            method="getcontacts",
        )
    if with_id and not reader.ascending and store.has_id_twice(check):
        raise AfilnetUnreadableAnswerError(
            "getcontacts answered one contact id twice, so ids do not tell contacts apart; please report this.",
            method="getcontacts",
        )
    return GroupRead(count, digest, proven, with_id == count, started)


class _Reader:
    """Makes lines and fingerprints of contacts, and counts them.

    ``ascending``: each id was a greater number than the one before, so that none came twice.
    """

    def __init__(self, fields: GroupFields, keys: KeyReader, printer: Printer) -> None:
        self._fields = fields
        self._keys = keys
        self._compared = _compared(printer.positions, len(fields.others))
        self._arrangements: dict[tuple[str, ...], Callable[[Contact], Contact]] = {}
        self.count = self.with_id = 0
        self.ascending = True
        self._highest = -1

    def read(self, table: ContactTable) -> tuple[list[bytes], list[int], list[int]]:
        """Lines, hashes of the keys, and fingerprints. A list at a time: this is done a million times."""
        arrange = self._arrangements.get(table.names)
        if arrange is None:
            arrange = self._arrangements[table.names] = self._arrangement(table.names)
        contacts = list(map(arrange, table.rows))
        raws = [contact[1] or "" for contact in contacts]
        keys = self._keys.match_forms(raws)
        compared = list(map(self._compared, contacts))
        if keys != raws:
            compared = [(key, *values[1:]) for key, values in zip(keys, compared, strict=True)]
        self._count_ids([contact[0] for contact in contacts])
        self.count += len(contacts)
        return list(map(to_line, contacts)), list(map(hash, keys)), list(map(fingerprint, compared))

    def _count_ids(self, ids: list[str | None]) -> None:
        self.with_id += len(ids) - ids.count(None)
        try:
            numbers = [self._highest, *map(int, ids)]  # type: ignore[arg-type] # None is a TypeError
        except (TypeError, ValueError):
            self.ascending = False
        else:
            self.ascending = self.ascending and sorted(set(numbers)) == numbers
            self._highest = numbers[-1]

    def _arrangement(self, names: tuple[str, ...]) -> Callable[[Contact], Contact]:
        """How to put contacts with these names into the order of lines: id, key, and the group's other columns."""
        places = [0, -1, *(-1 for _ in self._fields.others)]
        for place, name in enumerate(names, 1):
            position = self._fields.position(name)
            if name.lower() == self._fields.kind:
                places[1] = place
            elif position is not None:
                places[position + 2] = place
        pick: Callable[[Contact], Contact] = itemgetter(*places)
        # What the contact lacks is taken from a blank at its end.
        return (lambda contact: pick((*contact, ""))) if -1 in places else pick


def _compared(positions: Sequence[int], width: int) -> Callable[[Contact], Contact]:
    """How to take the key as it stands and the values that are compared out of an arranged contact."""
    if not positions or list(positions) == list(range(width)):
        return itemgetter(slice(1, None if positions else 2))
    return itemgetter(1, *(position + 2 for position in positions))


def contact_keys(record: ContactRecord, fields: GroupFields, keys: KeyReader) -> set[str]:
    """The keys that a comparison may have found for a contact: as it stands, and as it is read."""
    raw = next((value for name, value in record.fields.items() if name.lower() == fields.kind), "")
    try:
        return {keys.match_form(raw), keys.read(raw).compared}
    except RejectError:
        return {keys.match_form(raw)}
