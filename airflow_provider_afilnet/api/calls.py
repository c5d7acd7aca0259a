"""Build a call: check the parameters against the method's table and turn values into text. Pure functions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from airflow_provider_afilnet.api.errors import AfilnetInvalidRequestError
from airflow_provider_afilnet.api.methods import METHODS, Method

Contact = Mapping[str, str]
"""A contact: field name to value. Its id travels beside it, never inside."""

UNSAFE_CHARACTERS = ",:"
"""What ``addcontact`` and ``modifycontact`` cannot carry inside a value: the text form has no escaping."""


@dataclass(frozen=True, slots=True)
class Call:
    """One method with its parameters as text, ready to be put on the wire. Parameters may hold people: no ``repr``."""

    method: Method
    params: Mapping[str, str] = field(repr=False)


def build_call(name: str, params: Mapping[str, object]) -> Call:
    """Check and build a call.

    :param name: a method of :data:`~airflow_provider_afilnet.api.methods.METHODS`, or any other of the API, whose
        ``class`` must then be among the parameters. Of such a method nothing is known, so it counts as one that writes
        and must not be repeated.
    :param params: one value for each of the method's parameters; text or whole numbers. All are mandatory.
    :raises AfilnetInvalidRequestError: for a method without a known class, a missing, blank or surplus parameter.
    """
    method = METHODS.get(name)
    if method is None:
        params = dict(params)
        api_class = params.pop("class", None)
        if not isinstance(api_class, str) or not api_class.strip():
            raise AfilnetInvalidRequestError(
                f"{name!r} is none of the methods that are known ({', '.join(METHODS)}); to call another one, give "
                "its class too: **{'class': 'sms', …}."
            )
        method = Method(name, api_class.strip(), tuple(params), frozenset(), writes=True, repeatable=False)
    surplus = sorted(set(params) - set(method.params))
    if surplus:
        raise AfilnetInvalidRequestError(
            f"{name} takes no parameter {surplus[0]!r}; it takes: {', '.join(method.params) or 'none'}.", method=name
        )
    texts = {}
    for param in method.params:
        value = params.get(param)
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            given = "nothing" if value is None else type(value).__name__
            raise AfilnetInvalidRequestError(
                f"{name} needs {param!r} as text or a whole number, not {given}.", method=name
            )
        text = str(value)
        if not text.strip():
            raise AfilnetInvalidRequestError(f"{name} needs a value for {param!r}; it is blank.", method=name)
        try:
            text.encode()
        except UnicodeEncodeError:
            raise AfilnetInvalidRequestError(
                f"{name}: {param!r} holds half of a surrogate pair, which is no text and cannot be sent.", method=name
            ) from None
        texts[param] = text
    return Call(method, texts)


def is_text_safe(contact: Contact) -> bool:
    """Whether ``addcontact`` and ``modifycontact`` can carry every field of the contact."""
    return not any(ch in name or ch in value for name, value in contact.items() for ch in UNSAFE_CHARACTERS)


def contact_text(contact: Contact, *, method: str) -> str:
    """Write a contact as ``mobile:34600000000,name:Ana``, the form of ``addcontact`` and ``modifycontact``.

    :param method: the method it is for, named in errors.
    :raises AfilnetInvalidRequestError: if a name or value holds a comma or a colon, which would corrupt a neighbour
        field; the message names the field, never the value.
    """
    if not contact:
        raise AfilnetInvalidRequestError(
            f"{method} needs a contact with at least one field; it is empty.", method=method
        )
    for name, value in contact.items():
        _check_field(name, value, method)
        for ch, word in ((",", "comma"), (":", "colon")):
            if ch in name or ch in value:
                raise AfilnetInvalidRequestError(
                    f"{method} cannot carry field {name!r}: it holds a {word}, which the API's text form cannot "
                    "escape. Send the contact with addcontactlist (JSON) instead, or change the value.",
                    method=method,
                )
    return ",".join(f"{name}:{value}" for name, value in contact.items())


def contacts_json(contacts: Iterable[Contact], *, method: str = "addcontactlist") -> str:
    """Write contacts as the JSON array of flat objects that ``addcontactlist`` takes; it can carry any value."""
    listed = []
    for contact in contacts:
        if not contact:
            raise AfilnetInvalidRequestError(
                f"{method}: a contact is empty; give it at least its key field.", method=method
            )
        for name, value in contact.items():
            _check_field(name, value, method)
        listed.append(dict(contact))
    if not listed:
        raise AfilnetInvalidRequestError(f"{method} needs at least one contact; the list is empty.", method=method)
    return json.dumps(listed, ensure_ascii=False, separators=(",", ":"))


def _check_field(name: object, value: object, method: str) -> None:
    if not isinstance(name, str) or not name.strip():
        raise AfilnetInvalidRequestError(f"{method}: a contact has a field without a name.", method=method)
    if not isinstance(value, str):
        raise AfilnetInvalidRequestError(
            f"{method}: the value of field {name!r} must be text, not {type(value).__name__}.", method=method
        )


def record_id(value: object, what: str) -> str:
    """Read a group or contact id: text or a whole number, kept as text.

    :param what: ``group_id`` or ``contact_id``, named in the error.
    """
    text = str(value).strip() if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    if not text or text in ("None", "none", "null"):
        given = repr(value) if isinstance(value, (str, int)) else type(value).__name__
        raise AfilnetInvalidRequestError(f"{what} must be an id such as '1000', not {given}.")
    return text
