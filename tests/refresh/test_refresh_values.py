"""Values: what each kind is written as, and which kinds are refused, without a quote."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from decimal import Decimal
from fractions import Fraction

import pytest

from airflow_provider_afilnet.refresh.normalise import KeyReader, RejectError, value_text


class _Colour(str, enum.Enum):  # noqa: UP042 its str() is not its value
    RED = "red"


class _Level(int, enum.Enum):
    HIGH = 3


class _LoudFloat(float):
    """As numpy's: its repr is no number."""

    def __repr__(self) -> str:
        return f"loud({float(self)})"


class _NoTime(dt.datetime):
    """As the NaT of pandas: a datetime that equals nothing, not even itself, and whose text is its name."""

    def __eq__(self, other: object) -> bool:
        return False

    def __ne__(self, other: object) -> bool:
        return True

    __hash__ = dt.datetime.__hash__

    def replace(self, *args: object, **kwargs: object) -> _NoTime:  # type: ignore[override]
        return self

    def isoformat(self, *args: object, **kwargs: object) -> str:  # type: ignore[override]
        return "NaT"


_PLUS_TWO = dt.timezone(dt.timedelta(hours=2))

WRITTEN = [
    (None, ""),
    ("", ""),
    ("Ana", "Ana"),
    ("  both ends \t\n", "  both ends \t\n"),
    ("José, a:b & 'c' \"d\" =%+ <b>", "José, a:b & 'c' \"d\" =%+ <b>"),
    ("e\u0301", "e\u0301"),
    ("\U0001f600\u200d\u2764\ufe0f", "\U0001f600\u200d\u2764\ufe0f"),
    ("\u202bשלום\u202c", "\u202bשלום\u202c"),
    ("\u2028", "\u2028"),
    (_Colour.RED, "red"),
    (True, "true"),
    (False, "false"),
    (0, "0"),
    (-7, "-7"),
    (10**30, "1" + "0" * 30),
    (_Level.HIGH, "3"),
    (1.0, "1.0"),
    (0.1, "0.1"),
    (1e22, "10000000000000000000000"),
    (1e-7, "0.0000001"),
    (-2.5e-10, "-0.00000000025"),
    (_LoudFloat(1.5), "1.5"),
    (Decimal("1E+2"), "100"),
    (Decimal("1.10"), "1.10"),
    (Decimal("0E-8"), "0.00000000"),
    (Decimal("-1.5E-7"), "-0.00000015"),
    (dt.date(2026, 2, 3), "2026-02-03"),
    (dt.datetime(2026, 2, 3, 4, 5, 6, 789), "2026-02-03T04:05:06"),
    (dt.datetime(2026, 2, 3, 4, 5, 6, 789, tzinfo=dt.UTC), "2026-02-03T04:05:06Z"),
    (dt.datetime(2026, 2, 3, 1, 0, tzinfo=_PLUS_TWO), "2026-02-02T23:00:00Z"),
    (dt.datetime(1, 1, 1), "0001-01-01T00:00:00"),
    (dt.time(4, 5), "04:05:00"),
    (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
]


@pytest.mark.parametrize(("value", "text"), WRITTEN, ids=lambda value: repr(value)[:40])
def test_written_as(value: object, text: str) -> None:
    written = value_text(value)
    assert written == text
    assert type(written) is str


REFUSED = [
    (float("nan"), "is not a finite number"),
    (float("inf"), "is not a finite number"),
    (float("-inf"), "is not a finite number"),
    (Decimal("NaN"), "is not a finite number"),
    (Decimal("sNaN"), "is not a finite number"),
    (Decimal("Infinity"), "is not a finite number"),
    (Decimal("1E+200000"), "is a number of too many digits"),
    (Decimal("-1E-200000"), "is a number of too many digits"),
    (b"secret", "is a bytes, which has no text form"),
    (bytearray(b"secret"), "is a bytearray"),
    (memoryview(b"secret"), "is a memoryview"),
    (["secret"], "is a list"),
    (("secret",), "is a tuple"),
    ({"secret": 1}, "is a dict"),
    ({"secret"}, "is a set"),
    (object(), "is an object"),
    (Fraction(1, 3), "is a Fraction"),
    (1j, "is a complex"),
    (dt.timedelta(1), "is a timedelta"),
    (dt.datetime(1, 1, 1, tzinfo=_PLUS_TWO), "UTC"),
    (_NoTime(1970, 1, 1), "is not a time"),
]


@pytest.mark.parametrize(("value", "why"), REFUSED, ids=lambda value: repr(value)[:40])
def test_refused(value: object, why: str) -> None:
    with pytest.raises(RejectError) as caught:
        value_text(value)
    assert why in caught.value.args[0]
    assert "secret" not in caught.value.args[0]


@pytest.mark.parametrize("code", [*range(9), 0x0B, 0x0C, 0x0D, *range(0x0E, 0x20), *range(0x7F, 0xA0), 0xD800, 0xDFFF])
def test_control_characters_and_surrogates_are_refused(code: int) -> None:
    with pytest.raises(RejectError, match="control character other than tab and newline"):
        value_text(f"a{chr(code)}b")


def test_every_other_character_is_itself() -> None:
    """The first look, at printable text, lets nothing through and keeps nothing back."""
    refused = set()
    for code in range(0x110000):
        try:
            assert value_text(chr(code)) == chr(code)
        except RejectError:
            refused.add(code)
    assert refused == {*range(9), *range(0x0B, 0x20), *range(0x7F, 0xA0), *range(0xD800, 0xE000)}


def test_keys_of_enumerations_are_their_values() -> None:
    class Known(str, enum.Enum):  # noqa: UP042 its str() is not its value
        ANA = "+34600111222"

    class Digits(int, enum.Enum):
        ANA = 34600111222

    reader = KeyReader("mobile")
    assert reader.read(Known.ANA).sent == reader.read(Digits.ANA).sent == "34600111222"
