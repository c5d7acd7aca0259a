"""What the thirteen methods do to the store. They know nothing of HTTP, faults or the shapes of answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from airflow_provider_afilnet.api.methods import GROUP_TYPES
from airflow_provider_afilnet.sandbox import answers
from airflow_provider_afilnet.sandbox.dialect import Dialect, stored_values
from airflow_provider_afilnet.sandbox.store import Contact, Group, Store


class RefusedError(Exception):
    """The API's error ``code`` is the answer."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Operation:
    """One call that has passed the common checks.

    ``lost``: keys of rows that are reported as stored but are not. ``rows``: see :func:`parse_rows`.
    """

    store: Store
    dialect: Dialect
    account: str
    balance: float
    params: Mapping[str, str]
    rows: list[dict[str, str]] | None
    lost: Collection[str] = ()

    def group(self) -> Group:
        """The group of the call, which the account must own."""
        group = self.store.group(self.params["idgroup"])
        if group is None or group.account != self.account:
            raise RefusedError("NOT_ACCESS_TO_GROUP")
        return group

    def contact(self, group: Group, code: str) -> Contact:
        """The contact of the call; ``code`` is the error when it is not in the group."""
        contact = self.store.contact(group, self.params["idcontact"])
        if contact is None:
            raise RefusedError(code)
        return contact

    def sent(self, group: Group, code: str) -> list[dict[str, str]]:
        """The rows of the call as this server stores them; ``code`` is the error for what cannot be read."""
        if self.rows is None:
            raise RefusedError(code)
        for row in self.rows:
            if not row.keys() <= set(group.fields):
                raise RefusedError("INCORRECT_FIELD")
            if not row.get(group.type):
                raise RefusedError("MISSING_COMPULSORY_PARAM")
        return [stored_values(row, self.dialect, key_field=group.type, country=group.country) for row in self.rows]


def parse_rows(method: str, params: Mapping[str, str]) -> list[dict[str, str]] | None:
    """The contacts that a call sends, none for a method without them; None when they cannot be read."""
    if method == "addcontactlist":
        return _rows_of_json(params["contacts"])
    if method in ("addcontact", "modifycontact"):
        # No escaping is documented, so a comma in a value begins a new field here, as it would at a real server.
        parts = [part.partition(":") for part in params["contact"].split(",")]
        return [{name: value for name, _, value in parts}]
    return []


def _rows_of_json(text: str) -> list[dict[str, str]] | None:
    try:
        rows = json.loads(text)
        if "\\u" in text:
            # Half a surrogate pair is no text that could be stored; PHP takes it for a broken document too.
            json.dumps(rows, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return None
    if any(isinstance(value, dict | list) for row in rows for value in row.values()):
        return None
    return [{name: _text(value) for name, value in row.items()} for row in rows]


def _text(value: Any) -> str:
    """A JSON scalar as PHP makes a text of it."""
    if value is None or value is False:
        return ""
    return "1" if value is True else str(value)


def split_fields(text: str) -> tuple[str, ...]:
    """The column names in a comma list, each once."""
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def _creategroup(call: Operation) -> object:
    group_type, fields = call.params["type"], split_fields(call.params["fields"])
    if group_type not in GROUP_TYPES:
        raise RefusedError("INCORRECT_TYPE")
    if group_type not in fields:
        raise RefusedError("MISSING_MAIN_FIELD")
    return answers.new_id(
        "idgroup", call.store.create_group(call.account, call.params["name"], group_type, fields), call.dialect
    )


def _getgroupcolumns(call: Operation) -> object:
    return answers.columns(call.group().fields, call.dialect)


def _addcolumntogroup(call: Operation) -> object:
    group = call.group()
    is_there = call.params["field"] in group.fields
    if is_there and call.dialect.column_repeat == "refused":
        raise RefusedError("FIELD_EXISTS")
    if not is_there or call.dialect.column_repeat == "doubled":
        call.store.set_fields(group, [*group.fields, call.params["field"]])
    return answers.written(call.dialect)


def _deletecolumnfromgroup(call: Operation) -> object:
    group, field = call.group(), call.params["field"]
    if field == group.type:
        raise RefusedError("MISSING_MAIN_FIELD")
    call.store.set_fields(group, [name for name in group.fields if name != field])
    return answers.written(call.dialect)


def _deletegroup(call: Operation) -> object:
    call.store.delete_group(call.group())
    return answers.written(call.dialect)


def _assigncountrytogroup(call: Operation) -> object:
    import pycountry

    group, country = call.group(), call.params["countryiso3"].upper()
    wanted = {"lower": country.lower(), "upper": country}.get(call.dialect.country_case, call.params["countryiso3"])
    if call.params["countryiso3"] != wanted or len(country) != 3 or pycountry.countries.get(alpha_3=country) is None:
        raise RefusedError("COUNTRY_NOT_FOUND")
    call.store.set_country(group, country)
    return answers.written(call.dialect)


def _add(call: Operation, group: Group, rows: Iterable[dict[str, str]]) -> list[int]:
    """Store the rows that are not to be lost; a lost one uses up an id all the same."""
    rows = list(rows)
    lost = (
        set()
        if not call.lost
        else {
            stored_values({group.type: key}, call.dialect, key_field=group.type, country=group.country)[group.type]
            for key in call.lost
        }
    )
    kept = [row for row in rows if row[group.type] not in lost]
    return [*call.store.add_contacts(group, kept), *(call.store.take_contact_id() for _ in rows[len(kept) :])]


def _addcontact(call: Operation) -> object:
    group = call.group()
    rows = call.sent(group, "MISSING_COMPULSORY_PARAM")
    if call.store.holders(group, rows[0][group.type]):
        raise RefusedError("CONTACT_EXISTS")
    return answers.new_id("idcontact", _add(call, group, rows)[0], call.dialect)


def _addcontactlist(call: Operation) -> object:
    group = call.group()
    rows = call.sent(group, "INCORRECT_CONTACTS")
    wanted = rows
    if call.dialect.bulk_dedupes:
        known = call.store.known_keys(group, (row[group.type] for row in rows))
        by_key: dict[str, dict[str, str]] = {}
        for row in rows:
            if row[group.type] not in known:
                by_key.setdefault(row[group.type], row)
        wanted = list(by_key.values())
    return answers.bulk(_add(call, group, wanted), len(rows) - len(wanted), call.dialect)


def _modifycontact(call: Operation) -> object:
    group = call.group()
    contact = call.contact(group, call.dialect.missing_contact_code)
    (values,) = call.sent(group, "MISSING_COMPULSORY_PARAM")
    if call.store.holders(group, values[group.type]) - {contact.id} and values[group.type] != contact.key:
        raise RefusedError("CONTACT_EXISTS")
    if call.dialect.modify_merges:
        values = contact.values | values
    call.store.replace_contacts(group, [(contact.id, values)])
    return answers.written(call.dialect)


def _deletecontact(call: Operation) -> object:
    group = call.group()
    call.store.remove_contacts(group, [call.contact(group, call.dialect.missing_contact_code).id])
    return answers.written(call.dialect)


def _getbalance(call: Operation) -> object:
    return answers.balance(call.balance, call.dialect)


def getcontact(call: Operation) -> str:
    """The body of the answer that shows one contact."""
    group = call.group()
    return answers.contact_body(call.contact(group, "NOT_ACCESS_TO_CONTACT"), group, call.dialect)


def getcontacts(call: Operation, *, moment: int, limit: int | None, hidden: Collection[str]) -> Iterator[str]:
    """The body of the answer that shows a group's contacts as of the store's ``moment``, in parts.

    ``limit``: show this many at most; ``hidden``: show none with one of these keys. The group is looked up at once,
    the contacts are read while the parts are taken.
    """
    group = call.group()
    every = (contact for page in call.store.contacts(group.id, moment) for contact in page)
    shown = (contact for contact in every if contact.key not in hidden)
    return answers.contacts_body(islice(shown, limit), group, call.dialect)


OPERATIONS: Final[Mapping[str, Callable[[Operation], object]]] = {
    "creategroup": _creategroup,
    "getgroupcolumns": _getgroupcolumns,
    "addcolumntogroup": _addcolumntogroup,
    "deletecolumnfromgroup": _deletecolumnfromgroup,
    "deletegroup": _deletegroup,
    "assigncountrytogroup": _assigncountrytogroup,
    "addcontact": _addcontact,
    "addcontactlist": _addcontactlist,
    "modifycontact": _modifycontact,
    "deletecontact": _deletecontact,
    "getbalance": _getbalance,
}
"""Method name to what it does and answers as ``result``. :func:`getcontact` and :func:`getcontacts` are not here: they
make the whole body, from stored texts."""
