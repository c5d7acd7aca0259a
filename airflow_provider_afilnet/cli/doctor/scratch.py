"""The scratch group: only fictional contacts go in, only those are touched, and everything is taken out again."""

from __future__ import annotations

import re
import secrets
import string
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from airflow_provider_afilnet.api.answers import (
    ContactRecord,
    UnknownFormError,
    read_columns,
    read_contact,
    read_new_id,
    read_record,
    shape,
    unreadable,
)
from airflow_provider_afilnet.api.calls import contact_text, contacts_json
from airflow_provider_afilnet.api.errors import AfilnetError
from airflow_provider_afilnet.api.methods import GROUP_TYPES, METHODS
from airflow_provider_afilnet.cli.doctor.fictional import MOST_KEYS, fictional_key, is_fictional, key_tail
from airflow_provider_afilnet.cli.doctor.observer import Observer, Reply

COLUMNS: Final = ("doctorone", "doctortwo")
"""The columns that the doctor adds, and deletes again."""

_MARK: Final = "doctormark"
_MARK_LENGTH: Final = 12

LIST_START: Final = 200
"""Keys below this number are for single contacts, those from here on for long lists."""

MOST_LISTED: Final = MOST_KEYS - LIST_START

_CLEANING_ROUNDS: Final = 3


class UnsettledError(Exception):
    """A question stays open; ``args[0]`` says why."""


class Shown(NamedTuple):
    """A contact as ``getcontacts`` shows it: read, and its fields with their types as they came."""

    record: ContactRecord
    raw: Mapping[str, Any]


def read_shown(result: object) -> list[Shown] | None:
    """The contacts of a ``getcontacts`` answer; ``None`` if it was null, which proves nothing.

    :raises AfilnetError: for a form that is not known.
    """
    if result is None:
        return None
    items: Iterable[tuple[str | None, Any]]
    if isinstance(result, list):
        items = ((None, item) for item in result)
    elif isinstance(result, dict):
        items = result.items()
    else:
        raise unreadable(METHODS["getcontacts"], shape(result))
    shown = []
    for key, item in items:
        if not isinstance(item, Mapping):
            raise unreadable(METHODS["getcontacts"], shape(result))
        try:
            record = read_record(item, key)
        except UnknownFormError as error:
            raise unreadable(METHODS["getcontacts"], error.args[0]) from None
        nested = item.get("fields")
        shown.append(Shown(record, nested if isinstance(nested, Mapping) else item))
    return shown


def new_mark() -> str:
    """A column name that no other group has: it proves that an id is that of the group just made."""
    return _MARK + "".join(secrets.choice(string.ascii_lowercase) for _ in range(_MARK_LENGTH))


def is_own_column(name: str) -> bool:
    """Whether only the doctor, in whichever visit, can have made a column of this name."""
    name = name.lower()
    return name in COLUMNS or bool(re.fullmatch(f"{_MARK}[a-z]{{{_MARK_LENGTH}}}", name))


class Scratch:
    """One group to try things in.

    :param columns: its columns, as answered; the key's name is read from them.
    :param ours: whether the doctor made it, and may delete it; only for an id that was proven to be the new group's.
    :param settle: seconds to wait for a read to show what was written.
    """

    def __init__(
        self, observer: Observer, group_id: str, columns: list[str], *, ours: bool, name: str, settle: float
    ) -> None:
        kinds = [name for name in columns if name.lower() in GROUP_TYPES]
        if len(kinds) != 1:
            raise UnsettledError(
                f"group {group_id} has {'both a mobile and an email' if kinds else 'neither a mobile nor an email'} "
                "column, so its type cannot be told; give a group with exactly one of them"
            )
        self.observer = observer
        self.group_id = group_id
        self.key_column = kinds[0]
        self.kind = kinds[0].lower()
        self.columns = columns
        self.ours = ours
        self.name = name
        self.settle = settle
        self.latest = 0.0
        self.ids_work: bool | None = None
        self.emptied = False
        self.stuck = False
        self.has_strangers = False
        self.last_result: Any = None
        self._ids: dict[str, list[str]] = {}
        self._issued = 0
        self._tails: set[str] = set()
        self._adopting = False
        self._added_columns: list[str] = []
        self.first_key = self.new_key()
        self.second_key = self.new_key()

    # --- reading ---

    def read(self) -> list[Shown] | None:
        """The contacts now; ``None`` for a null answer."""
        reply = self.observer.ask("getcontacts", idgroup=self.group_id)
        if not reply.ok:
            raise UnsettledError(f"getcontacts was refused with {reply.code}")
        self.last_result = reply.result
        shown = read_shown(reply.result)
        # Remembered for good: a group that ever held somebody is never deleted.
        self.has_strangers = self.has_strangers or not all(map(self.is_own, shown or ()))
        return shown

    def read_columns(self) -> list[str]:
        """The columns now."""
        reply = self.observer.ask("getgroupcolumns", idgroup=self.group_id)
        if not reply.ok:
            raise UnsettledError(f"getgroupcolumns was refused with {reply.code}")
        return read_columns(reply.result)

    def wait(self, until: Callable[[list[Shown]], bool], what: str) -> list[Shown]:
        """Read until the group shows what was written.

        :raises UnsettledError: if it does not within the time; ``what`` was waited for.
        """
        started = time.monotonic()
        pause = 0.1
        while True:
            shown = self.read() or []
            passed = time.monotonic() - started
            if until(shown):
                if pause > 0.1:
                    self.latest = max(self.latest, passed)
                return shown
            if passed > self.settle:
                raise UnsettledError(f"the group did not show {what} within {self.settle:g} s")
            time.sleep(pause)
            pause = min(pause * 2, 2.0)

    def key_of(self, shown: Shown) -> str:
        """The key as it is stored."""
        return next((value for name, value in shown.record.fields.items() if name.lower() == self.kind), "")

    def tail(self, key: str) -> str:
        """What is left of a key however it is stored; see :func:`~.fictional.key_tail`."""
        return key_tail(self.kind, key)

    def copies(self, shown: Iterable[Shown], key: str) -> list[Shown]:
        """The contacts with this key, however it is stored."""
        return [one for one in shown if key_tail(self.kind, self.key_of(one)) == key_tail(self.kind, key)]

    def the(self, shown: Iterable[Shown], key: str) -> Shown:
        """The one contact with this key."""
        found = self.copies(shown, key)
        if len(found) != 1:
            raise UnsettledError(f"the group shows {len(found)} contacts with a key that was added once")
        return found[0]

    def value(self, shown: Shown, column: str) -> str:
        """The value in a column, blank if there is none."""
        return next((value for name, value in shown.record.fields.items() if name.lower() == column), "")

    # --- ids ---

    def answers_to(self, contact_id: str | None, key: str) -> bool:
        """Whether ``getcontact`` of this id answers the contact with this key."""
        if not contact_id:
            return False
        reply = self.observer.ask("getcontact", idgroup=self.group_id, idcontact=contact_id)
        if not reply.ok:
            return False
        record = read_contact(reply.result, contact_id)
        return bool(self.copies([Shown(record, {})], key))

    def id_of(self, shown: Iterable[Shown], key: str) -> str | None:
        """An id that can be trusted for writing: answered by ``addcontact``, or shown where shown ids are true."""
        if len(answered := self._ids.get(key_tail(self.kind, key), [])) == 1:
            return answered[0]
        found = self.copies(shown, key)
        return found[0].record.id if self.ids_work and len(found) == 1 else None

    @property
    def can_be_emptied(self) -> bool:
        """Whether whatever is added can be deleted again: with the group, or by ids that are true."""
        return self.ours or bool(self.ids_work)

    # --- writing ---

    def new_key(self) -> str:
        """A key that was not used yet."""
        key = fictional_key(self.kind, self._issued)
        self._issued += 1
        self._tails.add(self.tail(key))
        return key

    def list_keys(self, count: int) -> list[str]:
        """The keys of a list of this length; a longer list begins with the same ones."""
        keys = [fictional_key(self.kind, LIST_START + number) for number in range(count)]
        self._tails.update(map(self.tail, keys))
        return keys

    def add(self, contact: Mapping[str, str]) -> Reply:
        """``addcontact``; remembers the id, where it answers one that is true."""
        text = contact_text(contact, method="addcontact")
        reply = self.observer.ask("addcontact", idgroup=self.group_id, contact=text)
        contact_id = read_new_id(reply.result, "idcontact") if reply.ok else None
        key = contact[self.key_column]
        if contact_id and self.answers_to(contact_id, key):
            self._ids.setdefault(key_tail(self.kind, key), []).append(contact_id)
        return reply

    def add_list(self, contacts: Iterable[Mapping[str, str]]) -> Reply:
        """``addcontactlist``."""
        return self.observer.ask("addcontactlist", idgroup=self.group_id, contacts=contacts_json(contacts))

    def modify(self, contact_id: str, contact: Mapping[str, str]) -> Reply:
        """``modifycontact``."""
        text = contact_text(contact, method="modifycontact")
        return self.observer.ask("modifycontact", idgroup=self.group_id, idcontact=contact_id, contact=text)

    def delete(self, contact_id: str) -> Reply:
        """``deletecontact``."""
        return self.observer.ask("deletecontact", idgroup=self.group_id, idcontact=contact_id)

    def add_column(self, name: str) -> Reply:
        """``addcolumntogroup``."""
        if name not in self._added_columns:
            self._added_columns.append(name)
        return self.observer.ask("addcolumntogroup", idgroup=self.group_id, field=name)

    def delete_column(self, name: str) -> Reply:
        """``deletecolumnfromgroup``."""
        return self.observer.ask("deletecolumnfromgroup", idgroup=self.group_id, field=name)

    # --- the end ---

    def clean_leftovers(self, say: Callable[[str], None]) -> list[str]:
        """Take out what an earlier visit that was killed left in this group; answers as :meth:`clean` does."""
        self._added_columns += [name for name in self.columns if is_own_column(name)]
        self._adopting = True
        left = self.clean(say)
        self._adopting = False
        return left

    def is_own(self, shown: Shown) -> bool:
        """Whether the contact can only be the doctor's: this visit's, or, among leftovers, any visit's."""
        if self._adopting:
            return self.could_be_own(shown)
        return self.tail(self.key_of(shown)) in self._tails

    def could_be_own(self, shown: Shown) -> bool:
        """Whether the contact is fictional, so that some visit may have left it."""
        return is_fictional(self.kind, self.key_of(shown))

    def clean(self, say: Callable[[str], None]) -> list[str]:
        """Take everything out; again if the first try was cut off.

        :param say: told how far a long clean-up is.
        :return: a sentence for each thing that is left behind.
        """
        if self.ours and self.has_strangers:
            # What the doctor put in goes; the group, and with it whoever else is there, stays.
            return [
                *self._clean_contacts(say),
                f"the group {self.group_id} named {self.name!r}, since it holds contacts that are not the doctor's: "
                "look at it in the Afilnet panel.",
            ]
        if self.ours and not self.emptied:
            reply = self.observer.ask("deletegroup", idgroup=self.group_id)
            self.emptied = reply.ok or reply.code == "NOT_ACCESS_TO_GROUP"
            if not self.emptied:
                return [self.left(f"deletegroup was refused with {reply.code}")]
        return [] if self.emptied else [*self._clean_contacts(say), *self._clean_columns()]

    def left(self, why: str) -> str:
        """What is left where nothing can be taken out."""
        whole = self.ours and not self.has_strangers
        what = "the group" if whole else "what the doctor put into the group"
        return (
            f"{what} {self.group_id}{f' named {self.name!r}' if self.name else ''} ({why}): delete it in the Afilnet "
            f"panel{'' if whole else f', or run: afilnet doctor --group {self.group_id}'}."
        )

    def _clean_contacts(self, say: Callable[[str], None]) -> list[str]:
        own: list[Shown] = []
        for _ in range(_CLEANING_ROUNDS):
            shown = self.read()
            if shown is None:
                return []
            own = [one for one in shown if self.is_own(one)]
            if not own:
                return []
            if self.ids_work is None:
                self.ids_work = self.answers_to(own[0].record.id, self.key_of(own[0]))
            for done, one in enumerate(own):
                if done and done % 250 == 0:
                    say(f"Deleting the doctor's own contacts: {done} of {len(own)}.")
                answered = self._ids.get(key_tail(self.kind, self.key_of(one)), [])
                for contact_id in [one.record.id] if self.ids_work and one.record.id else answered:
                    self.delete(contact_id)
        return [
            f"{len(own)} fictional contacts in group {self.group_id}, which have no id to delete them by: delete them "
            "in the Afilnet panel."
        ]

    def _clean_columns(self) -> list[str]:
        for name in self._added_columns:
            for _ in COLUMNS:
                if name in (present := [column.lower() for column in self.read_columns()]):
                    self.delete_column(name)
                else:
                    break
        present = [column.lower() for column in self.read_columns()]
        kept = [name for name in self._added_columns if name in present]
        return [
            f"the column {name!r} of group {self.group_id}, which could not be deleted: delete it in the Afilnet panel."
            for name in kept
        ]


def clean_up(scratches: Iterable[Scratch], say: Callable[[str], None]) -> list[str]:
    """Clean every group, whatever happens to one of them; answers what is left."""
    left: list[str] = []
    for scratch in scratches:
        try:
            left += scratch.clean(say)
        except (AfilnetError, UnsettledError) as error:
            left.append(scratch.left(str(error).rstrip(".")))
    return left
