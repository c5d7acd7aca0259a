"""How the sandbox answers where the documents are silent: every choice that a real Afilnet might have made.

The first value of each field is the default. A client that is right works with all of them, or says clearly why not.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

TRUNCATED_LENGTH = 20
"""How many characters ``stored_value="truncate"`` leaves."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One set of choices about the answers' shapes and about what the server stores.

    ``contacts``: the result of ``getcontacts``: objects with ``idcontact`` (``flat``) or ``id`` (``flat-id``) beside
    the fields, the same with the fields under ``fields`` (``nested``, ``nested-id``), one object keyed by contact id
    (``keyed``, ``keyed-nested``), objects without an id (``no-ids``), or one object keyed by position (``positional``).
    ``columns``: the result of ``getgroupcolumns``: a list of names, a list of objects with ``name``, an object from
    name to name, an object from position to name, or one text with commas.
    ``new_id``: what ``creategroup`` and ``addcontact`` answer.
    ``single``: the shape of ``getcontact``'s result; an ``object`` and the item of a ``list`` look as in ``contacts``.
    ``bulk``: what ``addcontactlist`` answers.
    ``numbers``: whether ids, counts, the balance and values of up to 15 digits are texts or JSON numbers.
    ``status_case``: the case of status words and error codes.
    ``empty_values``: how a column without a value is shown in a contact.
    ``bulk_dedupes``: ``addcontactlist`` skips keys that are in the group already, or earlier in the list.
    ``modify_merges``: ``modifycontact`` keeps the fields that it was not given.
    ``missing_contact_code``: what ``modifycontact`` and ``deletecontact`` answer for a contact that is not there.
    ``stored_key``: what becomes of a phone on every write of the API: nothing, a leading plus, or the loss of the
    country code of the group's country.
    ``stored_value``: what becomes of every other value on every write of the API.
    ``written``: what the methods answer that write and have nothing to tell, which are all others but ``getbalance``.
    ``column_repeat``: what ``addcolumntogroup`` does with a column that is there: nothing, an error, or a second one.
    ``country_case``: the letters in which ``assigncountrytogroup`` knows a country.
    ``soap_operations``: one operation per method, or one that takes class, method and the parameters: as elements of
    their own (``generic``), as key and value pairs, or as JSON.
    ``soap_answer``: the JSON envelope as one text, or its fields as XML.
    ``oauth_client``: where the token endpoint takes a client's id and secret: header, body, or either.
    ``oauth_life``: how it says how long a token lives.
    """

    contacts: Literal["flat", "flat-id", "nested", "nested-id", "keyed", "keyed-nested", "no-ids", "positional"] = (
        "flat"
    )
    columns: Literal["names", "objects", "object", "positions", "text"] = "names"
    new_id: Literal["scalar", "object", "list", "none", "absent"] = "scalar"
    single: Literal["object", "list", "keyed"] = "object"
    bulk: Literal["none", "absent", "counts", "ids", "number"] = "none"
    numbers: Literal["text", "number"] = "text"
    status_case: Literal["upper", "lower", "mixed"] = "upper"
    empty_values: Literal["omit", "empty", "null"] = "omit"
    bulk_dedupes: bool = False
    modify_merges: bool = False
    missing_contact_code: str = "NOT_ACCESS_TO_GROUP"
    stored_key: Literal["as-sent", "plus", "national"] = "as-sent"
    stored_value: Literal["as-sent", "trim", "html", "truncate"] = "as-sent"
    written: Literal["none", "absent", "scalar", "list", "object"] = "none"
    column_repeat: Literal["ignored", "refused", "doubled"] = "ignored"
    country_case: Literal["any", "lower", "upper"] = "any"
    soap_operations: Literal["per-method", "generic", "generic-pairs", "generic-json"] = "per-method"
    soap_answer: Literal["json", "fields"] = "json"
    oauth_client: Literal["either", "header", "body"] = "either"
    oauth_life: Literal["number", "text", "absent"] = "number"

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            allowed = dialects_of(field.name)
            if allowed and value not in allowed:
                raise ValueError(
                    f"Dialect field {field.name} cannot be {value!r}; it may be {', '.join(map(str, allowed))}"
                )


@cache
def _hints() -> dict[str, Any]:
    return get_type_hints(Dialect)


def dialects_of(field: str) -> tuple[Any, ...]:
    """The values that the field named ``field`` may have, default first; empty for a free text."""
    if field not in _hints():
        raise ValueError(f"There is no dialect field {field!r}; the fields are {', '.join(_hints())}")
    hint = _hints()[field]
    if hint is bool:
        return (False, True)
    return get_args(hint) if get_origin(hint) is Literal else ()


def parse_dialect(assignments: Iterable[str]) -> Dialect:
    """The dialect that command line texts such as ``contacts=keyed`` or ``bulk_dedupes=true`` describe."""
    chosen: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise ValueError(f"A dialect is written field=value, not {assignment!r}")
        is_switch = dialects_of(name) == (False, True)
        chosen[name] = {"true": True, "false": False}.get(text.lower(), text) if is_switch else text
    return Dialect(**chosen)


def stored_values(
    values: Mapping[str, str], dialect: Dialect, *, key_field: str, country: str | None
) -> dict[str, str]:
    """``values`` of one contact as this dialect's server would store them; ``country`` is the group's, or None."""
    return {
        name: _stored_key(value, dialect, key_field, country) if name == key_field else _stored_value(value, dialect)
        for name, value in values.items()
    }


def _stored_key(key: str, dialect: Dialect, key_field: str, country: str | None) -> str:
    if key_field != "mobile" or dialect.stored_key == "as-sent":
        return key
    if dialect.stored_key == "plus":
        return key if key.startswith("+") else f"+{key}"
    prefix = _calling_code(country) if country else ""
    return key.removeprefix(prefix)


def _stored_value(value: str, dialect: Dialect) -> str:
    if dialect.stored_value == "trim":
        return value.strip()
    if dialect.stored_value == "html":
        return html.escape(value)
    if dialect.stored_value == "truncate":
        return value[:TRUNCATED_LENGTH]
    return value


@cache
def _calling_code(country: str) -> str:
    """The calling code, as ``34``, of a country given as three capitals."""
    import phonenumbers
    import pycountry

    found = pycountry.countries.get(alpha_3=country)
    return str(phonenumbers.country_code_for_region(found.alpha_2)) if found else ""
