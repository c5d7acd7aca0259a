"""Phones and e-mails that can never reach anybody.

Phones: numbers that Ofcom, the British regulator, keeps free for films and plays: mobiles 07700 900000 to 900999 first,
then the geographic ranges. E-mails: example.com, which RFC 2606 reserves. They look valid to any checker, and nobody
will ever have one of them.
"""

from __future__ import annotations

import re
from typing import Final

_PHONE_PREFIXES: Final = (
    "447700900",  # mobiles
    "442079460",  # London, and other cities below
    "441134960",
    "441144960",
    "441154960",
    "441164960",
    "441174960",
    "441184960",
    "441214960",
    "441314960",
    "441414960",
    "441514960",
    "441614960",
    "441914980",
    "441632960",  # no place at all
)
_TAIL: Final = 9
_EMAIL: Final = re.compile(r"afilnet-doctor-\d{5}@example\.com", re.IGNORECASE)

MOST_KEYS: Final = len(_PHONE_PREFIXES) * 1000
"""How many different phones there are."""


def fictional_key(kind: str, number: int) -> str:
    """The key with this number, in the canonical form.

    :param kind: ``mobile`` or ``email``.
    :param number: from 0 up to below :data:`MOST_KEYS`.
    """
    if kind == "email":
        return f"afilnet-doctor-{number:05d}@example.com"
    return f"{_PHONE_PREFIXES[number // 1000]}{number % 1000:03d}"


def key_tail(kind: str, key: str) -> str:
    """What is left of a key however a server may store it: e-mails without case, the last nine digits of phones."""
    if kind == "email":
        return key.strip().lower()
    return re.sub(r"\D", "", key)[-_TAIL:]


def is_fictional(kind: str, key: str) -> bool:
    """Whether a stored key can only have come from here."""
    if kind == "email":
        return bool(_EMAIL.fullmatch(key.strip()))
    digits = re.sub(r"\D", "", key)
    # As sent, without the country code, or with the trunk prefix instead of it.
    forms = {prefix[2:] for prefix in _PHONE_PREFIXES}
    return any(re.fullmatch(rf"(44|0044|0)?{form}\d{{3}}", digits) for form in forms)
