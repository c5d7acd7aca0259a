"""One streaming pass over the source: map columns, check every row, spool what can be sent.

All that can be wrong with the source is known, and said in one error, before anything is written.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final

from airflow_provider_afilnet.api.masking import mask_key
from airflow_provider_afilnet.api.methods import GROUP_TYPES
from airflow_provider_afilnet.refresh.errors import AfilnetGuardrailError, AfilnetSourceError
from airflow_provider_afilnet.refresh.normalise import (
    AmbiguousKeyError,
    KeyReader,
    RejectError,
    value_text,
    value_texts,
)
from airflow_provider_afilnet.refresh.options import RefreshOptions
from airflow_provider_afilnet.refresh.rows import RowSource
from airflow_provider_afilnet.refresh.spool import SLICES, UNLIKE, Printer, fingerprint
from airflow_provider_afilnet.refresh.store import Store, read_row, to_line

log = logging.getLogger(__name__)

_BATCH: Final = 500
_SHOWN: Final = 10
_AMBIGUOUS: Final = "is a valid number of %"


class GroupFields:
    """The group's columns: which one is the key, and where each of the others stands in a list of values.

    :param columns: names as ``getgroupcolumns`` answers them.
    :param key_field: the user's choice; needed only where the group has both ``mobile`` and ``email``.
    :raises AfilnetSourceError: if there is no key field, or two and no choice.
    """

    def __init__(self, columns: Sequence[str], key_field: str | None) -> None:
        candidates = [name for name in columns if name.lower() in GROUP_TYPES]
        if key_field is not None:
            candidates = [name for name in candidates if name.lower() == key_field]
            if not candidates:
                raise AfilnetSourceError(
                    f"The group has no column {key_field!r} to be the key_field; it has: {', '.join(columns)}."
                )
        if not candidates:
            raise AfilnetSourceError(
                f"The group has neither a 'mobile' nor an 'email' column, so its contacts have no key; it has: "
                f"{', '.join(columns)}."
            )
        if len(candidates) > 1:
            raise AfilnetSourceError(
                "The group has both a 'mobile' and an 'email' column, and its type cannot be asked; set key_field to "
                "'mobile' or 'email', as the group was created."
            )
        self.key = candidates[0]
        self.kind = self.key.lower()
        # The contact's id may be listed among the columns, but it is no field: it is never compared and never sent.
        self.others = [name for name in columns if name != self.key and name.lower() != "idcontact"]
        self._positions = {name.lower(): position for position, name in enumerate(self.others)}
        self.to_create: list[str] = []

    def position(self, name: str) -> int | None:
        """Where a field's value stands, looked up without case; ``None`` if the group lacks it."""
        return self._positions.get(name.lower())

    def create(self, name: str) -> int:
        """Add a column that the group will get before the first write."""
        self._positions[name.lower()] = len(self.others)
        self.others.append(name)
        self.to_create.append(name)
        return self._positions[name.lower()]


@dataclass(frozen=True, slots=True)
class Binding:
    """How the columns of a row map to the group: the key's index, and (index, position, clears, name) of the others."""

    key_index: int | None
    values: tuple[tuple[int, int, bool, str], ...]


def bind(columns: Sequence[str], fields: GroupFields, options: RefreshOptions) -> Binding:
    """Match source columns to group fields without case, through ``column_map``.

    :raises AfilnetSourceError: for a column that the group lacks (``unknown_columns='fail'``), or two columns that
        map to one field.
    """
    key_index: int | None = None
    values = []
    taken: dict[str, str] = {}
    for index, column in enumerate(columns):
        if not isinstance(column, str):
            raise AfilnetSourceError(f"A column has {type(column).__name__} for a name; names must be text.")
        name = column.strip()
        target = options.column_map.get(name.lower(), name)
        if target.lower() in taken:
            raise AfilnetSourceError(
                f"Columns {taken[target.lower()]!r} and {column!r} both map to the group's field {target!r}; drop or "
                "rename one of them (column_map)."
            )
        if target.lower() == fields.kind:
            key_index = index
        elif options.mode != "remove":
            position = fields.position(target)
            if position is None and options.unknown_columns == "create":
                if not target or any(ch in target for ch in ",:"):
                    raise AfilnetSourceError(
                        f"Column {column!r} cannot be created: a field name has no comma or colon."
                    )
                if target.lower() in ("id", "idcontact"):
                    raise AfilnetSourceError(
                        f"Column {column!r} cannot be created: the API's answers use that name for a contact's id. "
                        "Leave it out of the query, or rename it with column_map."
                    )
                if target.lower() in GROUP_TYPES and options.key_field is None:
                    raise AfilnetSourceError(
                        f"Column {column!r} cannot be created without a key_field: the group would have both a "
                        f"'mobile' and an 'email' column. Set key_field={fields.kind!r} now and in later runs."
                    )
                position = fields.create(target)
            if position is None:
                if options.unknown_columns == "ignore":
                    continue
                raise AfilnetSourceError(
                    f"The group has no field for source column {column!r}; it has: {fields.key}, "
                    f"{', '.join(fields.others) or 'nothing else'}. Rename it with column_map, or set unknown_columns "
                    "to 'ignore' (leave it out) or 'create' (add it to the group)."
                )
            values.append((index, position, options.clears(fields.others[position]), fields.others[position]))
        taken[target.lower()] = column
    return Binding(key_index, tuple(values))


@dataclass(slots=True)
class SourceCounts:
    """What the pass found."""

    rows: int = 0
    rejected: int = 0
    duplicates: int = 0
    unreadable_keys: int = 0
    ambiguous: int = 0


class Spooler:
    """Reads a source into the store."""

    def __init__(
        self, store: Store, fields: GroupFields, keys: KeyReader, options: RefreshOptions, check: Callable[[], None]
    ) -> None:
        self._store = store
        self._fields = fields
        self._keys = keys
        self._options = options
        self._check = check
        self._lines: list[bytes] = []
        self._hashes: list[int] = []
        self._prints: list[int] = []
        self._positions: tuple[int, ...] | None = None
        self._rejects: list[tuple[int, str | None, str, str, str]] = []
        self._doubles: list[str] = []
        self.counts = SourceCounts()

    def spool(self, source: RowSource) -> SourceCounts:
        """Read, check and keep every row.

        :raises AfilnetSourceError: with everything that is wrong, after the whole source was read.
        """
        if source.columns is not None:
            self._bind_table(source.columns)
        bound: dict[tuple[str, ...], tuple[Binding, bool]] = {}
        together: tuple[str, ...] | None = None
        rows: list[Sequence[Any]] = []
        for columns, values in source:
            self._check()
            if (values.__class__ is not tuple and not _is_sequence(values)) or len(values) != len(columns):
                raise AfilnetSourceError(
                    f"Nothing was written: row {self.counts.rows + 1} is no sequence of {len(columns)} values, one for "
                    f"each of the columns {', '.join(map(str, columns))}. Correct the source."
                )
            if (columns is not together and columns != together) or len(rows) >= _BATCH:
                if together is not None:
                    self._take(together, rows, *bound[together])
                together, rows = columns, []
                if columns not in bound:
                    bound[columns] = self._bind(columns)
            rows.append(values if values.__class__ is tuple else tuple(values))
            self.counts.rows += 1
        if together is not None:
            self._take(together, rows, *bound[together])
        self._check_names({name for columns in bound for name in columns}, source)
        self.counts.duplicates = self._without_doubles()
        self._judge()
        if self.counts.rejected:
            log.warning(
                "%s of %s rows are rejected: %s.", self.counts.rejected, self.counts.rows, reject_samples(self._store)
            )
        return self.counts

    def _bind(self, columns: tuple[str, ...]) -> tuple[Binding, bool]:
        """The binding, and whether rows with these columns supply the fields that fingerprints are made of.

        Those are the fields that the first row supplies, since mostly all rows supply the same.
        """
        binding = bind(columns, self._fields, self._options)
        positions = tuple(sorted(position for _, position, _, _ in binding.values))
        if self._positions is None:
            self._positions = positions
            self._store.printer = Printer(positions)
        return binding, positions == self._positions and self._options.mode != "remove"

    def _bind_table(self, columns: tuple[str, ...]) -> None:
        """What can be said of a table before its first row."""
        self._check_mapped(columns)
        if bind(columns, self._fields, self._options).key_index is None:
            raise AfilnetSourceError(
                f"The source has no column for the group's key field {self._fields.key!r}; it has: "
                f"{', '.join(columns)}. Add it to the query, or name it with column_map."
            )

    def _check_mapped(self, columns: Collection[str]) -> None:
        missing = sorted(set(self._options.column_map) - {column.strip().lower() for column in columns})
        if missing:
            raise AfilnetSourceError(
                f"column_map names the column {missing[0]!r}, which the source lacks; it has: {', '.join(columns)}."
            )

    def _check_names(self, seen: Collection[str], source: RowSource) -> None:
        """What can only be said of names when every row was seen."""
        if source.columns is None and seen:
            self._check_mapped(sorted(seen))
        options, known = self._options, {name.lower() for name in (self._fields.key, *self._fields.others)}
        for option, names in (("nulls", options.nulls), ("lossy_fields", options.lossy_fields)):
            unknown = [] if isinstance(names, str) else sorted(set(names) - known)
            if unknown:
                raise AfilnetSourceError(
                    f"{option} names the field {unknown[0]!r}, which the group lacks; it has: {self._fields.key}, "
                    f"{', '.join(self._fields.others) or 'nothing else'}."
                )

    def _take(self, columns: tuple[str, ...], rows: list[Sequence[Any]], binding: Binding, printable: bool) -> None:
        """Check rows with the same columns, the last ones that were counted, and keep them."""
        first = self.counts.rows - len(rows) + 1
        try:
            self._together(first, rows, binding, printable)
        except RejectError:
            for number, values in enumerate(rows, first):
                self._alone(number, columns, values, binding, printable)
        self._flush()

    def _together(self, first: int, rows: list[Sequence[Any]], binding: Binding, printable: bool) -> None:
        """Column by column, which is quicker; nothing is kept if one of the rows must be rejected.

        :raises RejectError: for one of them.
        """
        if binding.key_index is None:
            raise RejectError("is missing")
        compared, sent = self._keys.read_all(list(map(itemgetter(binding.key_index), rows)))
        nothing: list[str | None] = [None] * len(rows)
        kept: list[Sequence[str | None]] = [nothing] * len(self._fields.others)
        shown: dict[int, list[str]] = {}
        for index, position, clears, _ in binding.values:
            texts = value_texts(list(map(itemgetter(index), rows)))
            shown[position] = texts
            kept[position] = texts if clears or "" not in texts else [text or None for text in texts]
        numbers = range(first, first + len(rows))
        self._lines.extend(map(to_line, zip(numbers, compared, sent, *kept, strict=True)))
        self._hashes.extend(map(hash, compared))
        if printable:
            by_position = [shown[position] for position in self._store.printer.positions]
            self._prints.extend(map(fingerprint, zip(compared, *by_position, strict=True)))
        else:
            self._prints.extend([UNLIKE] * len(rows))

    def _alone(
        self, number: int, columns: tuple[str, ...], values: Sequence[Any], binding: Binding, printable: bool
    ) -> None:
        field = self._fields.key
        key = None
        try:
            if binding.key_index is None:
                raise RejectError("is missing")
            key = self._keys.read(values[binding.key_index])
            texts: list[str | None] = [None] * len(self._fields.others)
            for index, position, clears, field in binding.values:  # noqa: B007 `field` names the culprit below
                text = value_text(values[index])
                # None: this field is not compared and not sent; '' asks to clear it.
                texts[position] = text if text or clears else None
        except RejectError as error:
            self.counts.rejected += 1
            self.counts.unreadable_keys += key is None
            self.counts.ambiguous += isinstance(error, AmbiguousKeyError)
            data = _kept(columns, values)
            self._rejects.append((number, key.compared if key else None, field, error.args[0], data))
            return
        compared, sent = key
        self._lines.append(to_line((number, compared, None if sent == compared else sent, *texts)))
        self._hashes.append(hash(compared))
        self._prints.append(self._store.printer.print(compared, texts) if printable else UNLIKE)

    def _flush(self) -> None:
        self._store.insert("rejects", self._rejects)
        self._store.watch(key for _, key, *_ in self._rejects if key is not None)
        self._rejects.clear()
        self._store.rows.lines.extend(self._lines)
        self._store.rows.prints.extend(self._hashes, self._prints)
        for batch in (self._lines, self._hashes, self._prints):
            batch.clear()

    def _without_doubles(self) -> int:
        """Leave one row for each key, and note some of the others.

        :return: how many others there are.
        """
        store = self._store
        suspects = bytearray(len(store.rows.lines))
        for number in range(SLICES):
            self._check()
            part = store.rows.prints.slice(number)
            if len(set(part.keys)) < len(part.keys):
                seen = Counter(part.keys)
                for key, line in zip(part.keys, part.numbers, strict=True):
                    suspects[line] = seen[key] > 1
        if not any(suspects):
            return 0
        store.db.execute("CREATE TABLE doubles (line INTEGER PRIMARY KEY, key TEXT, row INTEGER)")
        for page in store.rows.lines.flagged(suspects):
            self._check()
            store.insert("doubles", [(line, key, row) for line, (row, key, *_) in ((n, read_row(t)) for n, t in page)])
        store.db.execute("CREATE INDEX doubles_by_key ON doubles (key, row)")
        self._check()
        last = self._options.duplicates == "last"
        losers = bytearray(len(suspects))
        duplicates = 0
        for row, first, line, key in store.db.execute(
            f"SELECT row, (SELECT {'max' if last else 'min'}(row) FROM doubles f WHERE f.key = d.key) AS kept, line, "
            "key FROM doubles d WHERE row <> kept ORDER BY line"
        ):
            losers[line] = 1
            duplicates += 1
            if len(self._doubles) < _SHOWN:
                self._doubles.append(f"rows {first} and {row} ({mask_key(key)})")
        store.db.execute("DROP TABLE doubles")
        store.rows.prints.drop(losers, self._check)
        return duplicates

    def _judge(self) -> None:
        counts, options = self.counts, self._options
        wrong = []
        if counts.ambiguous and options.bare_numbers == "fail":
            wrong.append(
                f"{counts.ambiguous} phones are valid both in {options.default_region} and, with a +, in another "
                f"country: {reject_samples(self._store, _AMBIGUOUS)}. Say which is meant with "
                "bare_numbers='national' or 'international'"
            )
        others = counts.rejected - (counts.ambiguous if wrong else 0)
        if others and options.invalid_rows == "fail":
            wrong.append(
                f"{others} of {counts.rows} rows cannot be sent: {reject_samples(self._store, but=_AMBIGUOUS)}. "
                "Correct the source, or go on without such rows with invalid_rows='reject' and max_rejected"
            )
        if counts.duplicates and options.duplicates == "fail":
            wrong.append(
                f"{counts.duplicates} rows have the key of an earlier row: {', '.join(self._doubles)}. Make the query "
                "unique, or choose with duplicates='first' or 'last'"
            )
        if wrong:
            raise AfilnetSourceError("Nothing was written. " + ". ".join(wrong) + ".")
        if not len(self._store.rows.lines) and not options.allow_empty:
            what = "is empty" if not counts.rows else f"has no row that can be sent ({counts.rejected} were rejected)"
            raise AfilnetGuardrailError(
                f"Nothing was written: the source {what}. If that is right, set allow_empty=True."
            )


def _is_sequence(values: object) -> bool:
    return hasattr(values, "__len__") and not isinstance(values, (Mapping, Set))


def _kept(columns: tuple[str, ...], values: Sequence[Any]) -> str:
    """A rejected row as JSON, for the list of rejects."""
    row = dict(zip(columns, values, strict=False))
    try:
        return json.dumps(row, default=str)
    except (TypeError, ValueError):
        # A mapping whose names are no text, or a number with more digits than can be written.
        return json.dumps({name: f"({type(value).__name__})" for name, value in row.items()})


def reject_samples(store: Store, like: str = "%", but: str = "") -> str:
    """The first rejected rows, each with field and reason, without values.

    :param like: a pattern of the reasons, and ``but`` of those to leave out.
    """
    found = store.db.execute(
        "SELECT row, field, reason FROM rejects WHERE reason LIKE ? AND reason NOT LIKE ? ORDER BY row LIMIT ?",
        (like, but, _SHOWN + 1),
    ).fetchall()
    named = [f"row {row}: {field} {reason.split(';')[0]}" for row, field, reason in found[:_SHOWN]]
    return "; ".join(named) + ("; and more" if len(found) > _SHOWN else "")


def read_suppressed(
    store: Store, keys: KeyReader, given: Callable[[], Any], options: RefreshOptions, check: Callable[[], None]
) -> int:
    """Read the opt-outs into the store, with the same normaliser as rows.

    :param given: called once; returns an iterable of keys.
    :param check: called for each key; raises if the run was told to stop.
    :return: how many keys there are.
    :raises AfilnetGuardrailError: for an unreadable key, or none at all unless ``allow_empty_suppress``.
    """
    number = 0
    batch = []
    for number, raw in enumerate(given(), 1):
        check()
        try:
            batch.append((keys.read(raw).compared,))
        except RejectError as error:
            raise AfilnetGuardrailError(
                f"Nothing was written: suppressed key number {number} {error.args[0]}, so it is not known who must be "
                "left out. Correct the suppression list."
            ) from None
        if len(batch) >= _BATCH:
            _suppress(store, batch)
            batch = []
    _suppress(store, batch)
    if not number and not options.allow_empty_suppress:
        raise AfilnetGuardrailError(
            "Nothing was written: the suppression list is empty, which may be a fault. If that is right, set "
            "allow_empty_suppress=True."
        )
    return number


def _suppress(store: Store, batch: list[tuple[str]]) -> None:
    store.insert("suppressed", batch, on_conflict="OR IGNORE")
    store.watch(key for (key,) in batch)
