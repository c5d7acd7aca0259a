"""Read a group into the store, and know what the read is worth."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter

from airflow_provider_afilnet.api.answers import ContactRecord
from airflow_provider_afilnet.api.client import AsyncAfilnetClient
from airflow_provider_afilnet.api.errors import AfilnetUnprovenReadError, AfilnetUnreadableAnswerError
from airflow_provider_afilnet.refresh.normalise import KeyReader, RejectError
from airflow_provider_afilnet.refresh.progress import Progress
from airflow_provider_afilnet.refresh.source import GroupFields
from airflow_provider_afilnet.refresh.spool import Printer
from airflow_provider_afilnet.refresh.store import Store, to_line


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
    """Stream the group into the store, replacing the last read; a comparison comes next.

    :raises AfilnetUnreadableAnswerError: if only some contacts have ids, or an id comes twice.
    """
    started = time.monotonic()
    spool = store.begin_read()
    reader = _Reader(fields, keys, store.printer)
    digest = 0
    proven = True
    try:
        async for batch in client.contacts(group_id):
            lines, hashes, prints = reader.read(batch)
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
    if with_id and not reader.ascending and store.has_id_twice():
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
        self._print = printer.print
        self._pickers: dict[tuple[str, ...], Callable[[Mapping[str, str]], tuple[str, Sequence[str]]]] = {}
        self.count = self.with_id = 0
        self.ascending = True
        self._highest = -1

    def read(self, batch: list[ContactRecord]) -> tuple[list[bytes], list[int], list[int]]:
        """Lines, hashes of the keys, and fingerprints."""
        lines, hashes, prints = [], [], []
        match_form, fingerprint, pickers = self._keys.match_form, self._print, self._pickers
        for record_id, contact in batch:
            names = tuple(contact)
            pick = pickers.get(names)
            if pick is None:
                pick = pickers[names] = self._picker(names)
            raw, values = pick(contact)
            key = match_form(raw)
            lines.append(to_line((record_id, raw, values)))
            hashes.append(hash(key))
            prints.append(fingerprint(key, values))
        self._count_ids([record_id for record_id, _ in batch])
        self.count += len(batch)
        return lines, hashes, prints

    def _count_ids(self, ids: list[str | None]) -> None:
        self.with_id += len(ids) - ids.count(None)
        try:
            numbers = [self._highest, *map(int, ids)]  # type: ignore[arg-type] # None is a TypeError
        except (TypeError, ValueError):
            self.ascending = False
        else:
            self.ascending = self.ascending and sorted(set(numbers)) == numbers
            self._highest = numbers[-1]

    def _picker(self, names: tuple[str, ...]) -> Callable[[Mapping[str, str]], tuple[str, Sequence[str]]]:
        """How to take the key and the values, in the order of the group's columns, out of contacts of one shape."""
        key_name = None
        taken: dict[int, str] = {}
        for name in names:
            place = self._fields.position(name)
            if name.lower() == self._fields.kind:
                key_name = name
            elif place is not None:
                taken[place] = name
        width = len(self._fields.others)
        if key_name is not None and width > 1 and len(taken) == width:
            pick = itemgetter(*(taken[place] for place in range(width)))
            return lambda contact: (contact[key_name], pick(contact))
        values = [taken.get(place) for place in range(width)]
        return lambda contact: (
            "" if key_name is None else contact[key_name],
            ["" if name is None else contact[name] for name in values],
        )


def contact_keys(record: ContactRecord, fields: GroupFields, keys: KeyReader) -> set[str]:
    """The keys that :func:`find_keys` may have found for a contact: as it stands, and as it is read."""
    raw = next((value for name, value in record.fields.items() if name.lower() == fields.kind), "")
    try:
        return {keys.match_form(raw), keys.read(raw).compared}
    except RejectError:
        return {keys.match_form(raw)}
