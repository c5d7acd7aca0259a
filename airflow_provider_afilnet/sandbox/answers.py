"""Shape an answer in a dialect. The body is made of texts, so that a long list never exists as one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Final

from airflow_provider_afilnet.sandbox.dialect import Dialect
from airflow_provider_afilnet.sandbox.store import Contact, Group

ABSENT: Final = object()
"""The result of an answer that has no ``result`` key."""

_LONGEST_NUMBER = 15
_CASES: dict[str, Callable[[str], str]] = {"upper": str.upper, "lower": str.lower, "mixed": str.title}
_PER_TEXT = 500


encode: Final[Callable[[object], str]] = json.JSONEncoder(separators=(",", ":")).encode
"""JSON as PHP writes it: no blanks, ASCII only."""


def scalar(value: str, dialect: Dialect) -> str | int:
    """An id or a value; all digits become a number, which loses leading zeros, where the dialect likes numbers."""
    if dialect.numbers == "number" and value.isascii() and value.isdigit() and len(value) <= _LONGEST_NUMBER:
        return int(value)
    return value


def error(code: str, dialect: Dialect) -> str:
    """The body of an answer that reports the error ``code``."""
    case = _CASES[dialect.status_case]
    return encode({"status": case("ERROR"), "error": case(code)})


def success(result: object, dialect: Dialect) -> str:
    """The body of an answer that reports success; ``ABSENT`` leaves the key ``result`` out."""
    status = {"status": _CASES[dialect.status_case]("SUCCESS")}
    return encode(status if result is ABSENT else status | {"result": result})


def balance(amount: float, dialect: Dialect) -> object:
    """The result of ``getbalance``."""
    return amount if dialect.numbers == "number" else str(amount)


def new_id(name: str, number: int, dialect: Dialect) -> object:
    """The result of ``creategroup`` (``name`` is ``idgroup``) and ``addcontact`` (``idcontact``)."""
    value = scalar(str(number), dialect)
    shapes = {"scalar": value, "object": {name: value}, "list": [{name: value}], "none": None, "absent": ABSENT}
    return shapes[dialect.new_id]


def bulk(ids: Sequence[int], skipped: int, dialect: Dialect) -> object:
    """The result of ``addcontactlist`` that stored ``ids`` and passed ``skipped`` rows over."""
    if dialect.bulk == "ids":
        return [scalar(str(number), dialect) for number in ids]
    added = scalar(str(len(ids)), dialect)
    shapes = {
        "none": None,
        "absent": ABSENT,
        "counts": {"added": added, "skipped": scalar(str(skipped), dialect)},
        "number": added,
    }
    return shapes[dialect.bulk]


def written(dialect: Dialect) -> object:
    """The result of a method that writes and has nothing to tell."""
    shapes = {"none": None, "absent": ABSENT, "scalar": scalar("1", dialect), "list": [], "object": {"done": "1"}}
    return shapes[dialect.written]


def columns(names: Sequence[str], dialect: Dialect) -> object:
    """The result of ``getgroupcolumns``."""
    if dialect.columns == "objects":
        return [{"name": name} for name in names]
    if dialect.columns == "object":
        return {name: name for name in names}
    if dialect.columns == "positions":
        return {str(position): name for position, name in enumerate(names)}
    return ",".join(names) if dialect.columns == "text" else list(names)


def _fields(contact: Contact, group: Group, dialect: Dialect) -> str:
    """The contact's values as a JSON object."""
    if dialect.numbers == "text" and dialect.empty_values == "omit":
        # What is stored is what is shown: this is what makes a read of a big group quick.
        return contact.data
    values: Mapping[str, str] = contact.values
    shown: dict[str, object] = {}
    for name in group.fields:
        if name in values:
            shown[name] = scalar(values[name], dialect)
        elif dialect.empty_values != "omit":
            shown[name] = "" if dialect.empty_values == "empty" else None
    return encode(shown)


def _object(contact: Contact, group: Group, dialect: Dialect) -> str:
    """The contact as one JSON object, with its id beside the fields where the dialect shows one there."""
    fields = _fields(contact, group, dialect)
    if dialect.contacts == "keyed-nested":
        return f'{{"fields":{fields}}}'
    if not dialect.contacts.startswith(("flat", "nested")):
        return fields
    name = "id" if dialect.contacts.endswith("-id") else "idcontact"
    number = encode(scalar(str(contact.id), dialect))
    if dialect.contacts.startswith("nested"):
        return f'{{"{name}":{number},"fields":{fields}}}'
    # A contact always has its key field, so the object that is continued here is never empty.
    return f'{{"{name}":{number},{fields[1:]}'


def contact_body(contact: Contact, group: Group, dialect: Dialect) -> str:
    """The body of ``getcontact``'s answer."""
    shown = _object(contact, group, dialect)
    if dialect.single == "keyed":
        fields = _fields(contact, group, dialect)
        inner = f'{{"fields":{fields}}}' if "nested" in dialect.contacts else fields
        shown = f'{{"{contact.id}":{inner}}}'
    elif dialect.single == "list":
        shown = f"[{shown}]"
    return _with_result(shown, dialect)


def _with_result(result: str, dialect: Dialect) -> str:
    return success(None, dialect).removesuffix("null}") + result + "}"


def contacts_body(contacts: Iterable[Contact], group: Group, dialect: Dialect) -> Iterator[str]:
    """The body of ``getcontacts``' answer in texts of some hundred contacts each."""
    is_object = dialect.contacts.startswith(("keyed", "positional"))
    contacts = iter(contacts)
    first = next(contacts, None)
    if first is None:
        # PHP writes an empty map as an empty list.
        yield _with_result("[]", dialect)
        return
    before, after = _with_result("{ }" if is_object else "[ ]", dialect).split(" ")
    items = _items(chain([first], contacts), group, dialect)
    yield before + next(items)
    while part := list(islice(items, _PER_TEXT)):
        yield "," + ",".join(part)
    yield after


def _items(contacts: Iterable[Contact], group: Group, dialect: Dialect) -> Iterator[str]:
    for position, contact in enumerate(contacts):
        shown = _object(contact, group, dialect)
        if dialect.contacts == "positional":
            yield f'"{position}":{shown}'
        elif dialect.contacts.startswith("keyed"):
            yield f'"{contact.id}":{shown}'
        else:
            yield shown
