"""The documented API methods as data: the one place that lists names, parameters and error codes.

Clients, hook, operators and the sandbox all read this table; nothing else spells a method's parameters out.
Facts come from the vendor's two documents; ``getbalance`` from the vendor's public clients.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

COMMON_CODES: Final[frozenset[str]] = frozenset(
    {
        "MISSING_USER",
        "MISSING_PASSWORD",
        "MISSING_CLASS",
        "MISSING_METHOD",
        "MISSING_COMPULSORY_PARAM",
        "INCORRECT_USER_PASSWORD",
        "INCORRECT_CLASS",
        "INCORRECT_METHOD",
    }
)
"""Error codes that every method may answer."""


@dataclass(frozen=True, slots=True)
class Method:
    """One method of the API.

    ``writes``: it may change something at Afilnet, so a lost answer leaves the outcome unknown.
    ``repeatable``: sending it again after an unknown outcome does no harm.
    """

    name: str
    api_class: str
    params: tuple[str, ...]
    own_codes: frozenset[str]
    writes: bool
    repeatable: bool

    @property
    def codes(self) -> frozenset[str]:
        """Every error code that this method may answer, the common ones included."""
        return COMMON_CODES | self.own_codes


def _group(name: str, params: str, codes: str, *, writes: bool, repeatable: bool) -> Method:
    return Method(name, "group", tuple(params.split()), frozenset(codes.split()), writes, repeatable)


_ALL = (
    _group("creategroup", "name type fields", "INCORRECT_TYPE MISSING_MAIN_FIELD", writes=True, repeatable=False),
    _group("getgroupcolumns", "idgroup", "NOT_ACCESS_TO_GROUP", writes=False, repeatable=True),
    # What a repeat answers is unknown, so a repeat must look at the columns first.
    _group("addcolumntogroup", "idgroup field", "NOT_ACCESS_TO_GROUP", writes=True, repeatable=False),
    _group("deletecolumnfromgroup", "idgroup field", "NOT_ACCESS_TO_GROUP", writes=True, repeatable=True),
    _group("deletegroup", "idgroup", "NOT_ACCESS_TO_GROUP", writes=True, repeatable=True),
    _group(
        "assigncountrytogroup",
        "idgroup countryiso3",
        "NOT_ACCESS_TO_GROUP COUNTRY_NOT_FOUND",
        writes=True,
        repeatable=True,
    ),
    _group("getcontacts", "idgroup", "NOT_ACCESS_TO_GROUP", writes=False, repeatable=True),
    _group(
        "getcontact", "idgroup idcontact", "NOT_ACCESS_TO_GROUP NOT_ACCESS_TO_CONTACT", writes=False, repeatable=True
    ),
    # A repeat answers CONTACT_EXISTS, which does no harm.
    _group("addcontact", "idgroup contact", "NOT_ACCESS_TO_GROUP CONTACT_EXISTS", writes=True, repeatable=True),
    # What it does with contacts that are there already is unknown.
    _group("addcontactlist", "idgroup contacts", "NOT_ACCESS_TO_GROUP", writes=True, repeatable=False),
    _group("modifycontact", "idgroup idcontact contact", "NOT_ACCESS_TO_GROUP", writes=True, repeatable=True),
    _group("deletecontact", "idgroup idcontact", "NOT_ACCESS_TO_GROUP", writes=True, repeatable=True),
    Method("getbalance", "user", (), frozenset(), writes=False, repeatable=True),
)

METHODS: Final[dict[str, Method]] = {method.name: method for method in _ALL}
"""Method name to method: the twelve documented group methods and ``getbalance``."""

GROUP_METHODS: Final[tuple[str, ...]] = tuple(m.name for m in _ALL if m.api_class == "group")
"""The twelve methods that the vendor documents, in the documents' order."""

GROUP_TYPES: Final[tuple[str, ...]] = ("mobile", "email")
"""What ``type`` may be; also the names of a group's key field."""
