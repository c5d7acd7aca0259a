"""Keys and values in canonical form, or the reason why a row must be rejected. One set of functions for both sides.

Phones: E.164 without plus. E-mails: trimmed, domain in lower case and IDNA-encoded, compared without case. Other
values travel unchanged. Reasons never quote a value.
"""

from __future__ import annotations

import datetime as dt
import math
import re
import uuid
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_afilnet.refresh.errors import AfilnetOptionError
from airflow_provider_afilnet.refresh.options import BareNumbers

if TYPE_CHECKING:
    from airflow_provider_afilnet.refresh.numbering import QuickReader


class RejectError(ValueError):
    """A key or value cannot be sent; ``args[0]`` is the reason, without the value."""


class AmbiguousKeyError(RejectError):
    """Digits that are a phone of two countries, and nobody said which is meant."""


class Key(NamedTuple):
    """A key: the form that is compared, and the form that is sent."""

    compared: str
    sent: str


# --- keys ------------------------------------------------------------------------------------------------------------

# Left behind by spreadsheets and messengers; they never belong to a number.
_INVISIBLE = dict.fromkeys((*range(0x200B, 0x2010), *range(0x202A, 0x202F), 0x2060, *range(0x2066, 0x206A), 0xFEFF))
_PHONE = re.compile(r"[+\uff0b]?[\d\s()\[\]./~\u2010-\u2015\u2212\u30fc\uff0d-]+")
# A number that went through a floating-point column: to the parser its point is punctuation, and its zero a digit.
is_float = re.compile(r"[+-]?\d{6,}\.0+").fullmatch
_ASCII_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*").fullmatch


class KeyReader:
    """Reads keys of one kind.

    :param kind: ``mobile`` or ``email``.
    :param default_region: ISO alpha-2 country of phones without a country code; ``None`` if there is none.
    :param bare_numbers: what digits mean that are valid both as national and as international number.
    :raises AfilnetOptionError: if ``default_region`` is no region with phone numbers.
    """

    def __init__(self, kind: str, default_region: str | None = None, bare_numbers: BareNumbers = "fail") -> None:
        self.kind = kind
        self._region = default_region
        self._bare = bare_numbers
        self._quick: QuickReader | None = None
        if kind == "mobile":
            import phonenumbers

            from airflow_provider_afilnet.refresh.numbering import QuickReader

            if default_region is not None and default_region not in phonenumbers.SUPPORTED_REGIONS:
                raise AfilnetOptionError(
                    f"Refresh option 'default_region' must be a two-letter country code with phone numbers, such as "
                    f"'ES', not {default_region!r}."
                )
            self._quick = QuickReader(default_region, bare_numbers)

    def match_form(self, raw: str) -> str:
        """The form in which a stored key equals a wanted one exactly, before any reading of it."""
        return raw.strip().lower() if self._quick is None else raw.strip()

    def match_forms(self, raws: list[str]) -> list[str]:
        """:meth:`match_form` of many."""
        stripped = list(map(str.strip, raws))
        return list(map(str.lower, stripped)) if self._quick is None else stripped

    def read(self, raw: object) -> Key:
        """Normalise a key.

        :raises AmbiguousKeyError: if the digits are a number of two countries and ``bare_numbers`` is ``fail``.
        :raises RejectError: with the reason.
        """
        text = _key_text(raw)
        if self._quick is None:
            return _email(text)
        # Nearly every phone is certain at once; the others, refusals included, are read in full.
        number = self._quick.read(text)
        return self._phone(text) if number is None else Key(number, number)

    def read_all(self, raws: list[object]) -> tuple[list[str], list[str | None]]:
        """:meth:`read` of many: the forms that are compared, and those to send where they are others.

        :raises RejectError: if one of them cannot be read.
        """
        canonical = None if self._quick is None else self._quick.canonical
        compared: list[str] = []
        sent: list[str | None] = []
        for raw in raws:
            if canonical is not None and type(raw) is str and canonical[raw[:3]](raw):
                compared.append(raw)
                sent.append(None)
            else:
                key = self.read(raw)
                compared.append(key.compared)
                sent.append(None if key.sent == key.compared else key.sent)
        return compared, sent

    def _phone(self, text: str) -> Key:
        from airflow_provider_afilnet.refresh.numbering import full_reading

        text = text.translate(_INVISIBLE).strip()
        if not _PHONE.fullmatch(text):
            raise RejectError("is not a phone number")
        if is_float(text):
            raise RejectError("is the text of a number with a fraction; convert it to whole digits in the query")
        digits = "".join(str(int(ch)) for ch in text if ch.isdecimal())
        if text[0] in "+\uff0b":
            # Through the parser as typed: it knows the "(0)" of "+44 (0)20 …".
            number = full_reading(text, None)
        else:
            national = full_reading(text, self._region) if self._region else None
            explicit = digits.startswith("00")
            number = full_reading("+" + (digits[2:] if explicit else digits), None)
            if national is not None and number is not None and national != number and not explicit:
                if self._bare == "fail":
                    raise AmbiguousKeyError(
                        f"is a valid number of {self._region} and, with a +, of another country; "
                        "choose with bare_numbers='national' or 'international'"
                    )
                number = national if self._bare == "national" else number
            number = number or national
        if number is None:
            hint = "" if self._region or text[0] in "+\uff0b" else " (national numbers need default_region)"
            raise RejectError(f"is not a valid phone number{hint}")
        return Key(number, number)


def _key_text(raw: object) -> str:
    # Plain text and plain numbers, as nearly all keys are, need no more looks than these.
    if type(raw) is str and raw and not raw.isspace():
        return raw
    if type(raw) is int and raw >= 0:
        return _plain(raw)
    if raw is None:
        raise RejectError("is null")
    if isinstance(raw, bool) or not isinstance(raw, (str, int, float, Decimal)):
        raise RejectError(f"is {_a(type(raw).__name__)}, not text or a number")
    if isinstance(raw, (float, Decimal)):
        # A column of numbers with gaps arrives as floats; whole ones are still exact up to 2**53.
        if not _is_finite(raw) or abs(float(raw)) >= 2**53 or raw != int(raw):
            raise RejectError("is a number with a fraction, or not a number")
        raw = int(raw)
    if isinstance(raw, int) and raw < 0:
        raise RejectError("is a number below 0")
    text = _plain(raw)
    if not text.strip():
        raise RejectError("is blank")
    return text


def _email(text: str) -> Key:
    text = text.strip()
    local, _, domain = text.rpartition("@")
    if len(local) <= 64 and _ASCII_LOCAL(local):
        ascii_domain = _email_domain(domain)
        if ascii_domain is not None and len(local) + len(ascii_domain) < 254 and len(text) <= 254:
            sent = f"{local}@{ascii_domain}"
            return Key(sent.lower(), sent)
        raise RejectError("is not a valid e-mail address")
    from email_validator import EmailNotValidError, validate_email

    try:
        found = validate_email(text, check_deliverability=False)
    except EmailNotValidError:
        raise RejectError("is not a valid e-mail address") from None
    sent = f"{found.local_part}@{found.ascii_domain}"
    return Key(sent.lower(), sent)


@lru_cache(maxsize=65536)
def _email_domain(domain: str) -> str | None:
    """The domain in ASCII and lower case, or ``None``: lists repeat their domains, the check costs 50 microseconds."""
    from email_validator import EmailNotValidError, validate_email

    try:
        found: Any = validate_email(f"a@{domain}", check_deliverability=False)
    except EmailNotValidError:
        return None
    return str(found.ascii_domain).lower()


# --- values ----------------------------------------------------------------------------------------------------------

# No database holds a number with more; one out of a file may be written short and be longer than the memory.
_MOST_DIGITS = 131_072
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def value_texts(values: list[object]) -> list[str]:
    """:func:`value_text` of many, at once where all are plain text.

    :raises RejectError: if one of them cannot be written.
    """
    if set(map(type, values)) == {str} and "".join(values).isprintable():  # type: ignore[arg-type]
        return values  # type: ignore[return-value]
    return list(map(value_text, values))


def value_text(value: object) -> str:
    """Write a value as text; null and ``''`` are the same, absent.

    :raises RejectError: for a kind that has no text form, or text with a control character.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        # What is printable holds none, and asking so costs a tenth of the search.
        if type(value) is str and value.isprintable():
            return value
        if _CONTROL.search(value):
            raise RejectError("holds a control character other than tab and newline")
        return _plain(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return _plain(value)
    if isinstance(value, (float, Decimal)):
        if not _is_finite(value):
            raise RejectError("is not a finite number")
        if isinstance(value, Decimal) and abs(value.adjusted()) > _MOST_DIGITS:
            raise RejectError("is a number of too many digits")
        return format(Decimal(float.__repr__(value)) if isinstance(value, float) else value, "f")
    if isinstance(value, dt.datetime):
        if value != value:
            # NaT of pandas, which is a datetime to isinstance.
            raise RejectError("is not a time")
        if value.tzinfo is None:
            return value.replace(microsecond=0).isoformat()
        try:
            value = value.astimezone(dt.UTC)
        except OverflowError:
            raise RejectError("is a time that UTC cannot express") from None
        return value.replace(microsecond=0, tzinfo=None).isoformat() + "Z"
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, uuid.UUID):
        return str(value)
    raise RejectError(f"is {_a(type(value).__name__)}, which has no text form; convert it in the query")


def _plain(value: str | int) -> str:
    """The text or the number itself: ``str()`` of a subclass, such as an enumeration, may be something else."""
    if isinstance(value, str):
        return str.__str__(value)
    try:
        return int.__repr__(value)
    except ValueError:
        raise RejectError("is a number of too many digits") from None


def _is_finite(value: float | Decimal) -> bool:
    # math.isfinite raises for a signalling NaN.
    return value.is_finite() if isinstance(value, Decimal) else math.isfinite(value)


def _a(noun: str) -> str:
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"
