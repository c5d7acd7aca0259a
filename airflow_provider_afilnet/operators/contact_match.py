"""Find the contact of a group that an addition ran into, and merge new values into it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from airflow_provider_afilnet.api.errors import AfilnetInvalidRequestError
from airflow_provider_afilnet.api.methods import GROUP_TYPES

ID: Final = "idcontact"


def find_holder(contact: Mapping[str, str], stored: Iterable[Mapping[str, str]]) -> Mapping[str, str]:
    """The one stored contact that has the key of ``contact``.

    A group's key is its mobile or its email, and the API does not say which; where ``contact`` has both, the match must
    be unmistakable all the same: a contact that agrees in one of them must agree in the other, or have it blank.

    :param stored: the group's contacts, with their id under ``idcontact``; read once.
    :raises AfilnetInvalidRequestError: if no contact or more than one could be meant, it has another mobile or email
        beside, or it has no id.
    """
    keys = {name: comparable_key(name, contact) for name in GROUP_TYPES}
    keys = {name: key for name, key in keys.items() if key}
    found: dict[str, list[Mapping[str, str]]] = {name: [] for name in keys}
    for candidate in stored:
        for name, key in keys.items():
            if comparable_key(name, candidate) == key:
                found[name].append(candidate)
    matches = {id(match): match for per_key in found.values() for match in per_key}
    if len(matches) != 1:
        seen = "no contact" if not matches else f"{len(matches)} contacts"
        raise AfilnetInvalidRequestError(
            f"The service says that the contact exists, but {seen} of the group could be it, compared by "
            f"{' and '.join(keys) or 'mobile or email, of which it has neither'}; nothing was changed. Use "
            "AfilnetModifyContactOperator with the contact's id."
        )
    (holder,) = matches.values()
    for name, key in keys.items():
        if comparable_key(name, holder) not in ("", key):
            raise AfilnetInvalidRequestError(
                f"The service says that the contact exists, and one contact of the group could be it, but its {name} "
                "is another, so it may be another person; nothing was changed. Use AfilnetModifyContactOperator with "
                "the contact's id."
            )
    if ID not in holder:
        raise AfilnetInvalidRequestError(
            "The service says that the contact exists, but shows no ids of contacts, so it cannot be changed; use "
            "if_exists='skip', or change it in the Afilnet panel."
        )
    return holder


def same_key(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether two contacts agree in mobile or in email."""
    return any((key := comparable_key(name, one)) != "" and key == comparable_key(name, other) for name in GROUP_TYPES)


def comparable_key(name: str, contact: Mapping[str, str]) -> str:
    """A contact's mobile as digits, or its email without case; blank if it has none."""
    value = next((value for field, value in contact.items() if field.lower() == name), "")
    return re.sub(r"\D", "", value) if name == "mobile" else value.strip().casefold()


def merged(stored: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    """The whole contact to send: the stored values, the new ones over them; field names are matched without case."""
    names = {field.lower(): field for field in stored}
    whole = {field: value for field, value in stored.items() if field != ID and value}
    for field, value in new.items():
        whole[names.get(field.lower(), field)] = value
    return whole
