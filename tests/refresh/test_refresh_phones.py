"""Phones: one canonical form however they are typed, and a reason without the number where there is none."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat as Form

from airflow_provider_afilnet.refresh.errors import AfilnetOptionError
from airflow_provider_afilnet.refresh.normalise import AmbiguousKeyError, KeyReader, RejectError

REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
SPANISH = "34600111222"


def _examples() -> list[tuple[str, Any]]:
    found = []
    for region in REGIONS:
        for kind in (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE):
            number = phonenumbers.example_number_for_type(region, kind)
            if number is not None and phonenumbers.is_valid_number(number):
                found.append((region, number))
    return found


EXAMPLES = _examples()


def _e164(number: Any) -> str:
    return str(phonenumbers.format_number(number, Form.E164))[1:]


def reason(raw: object, *args: Any, kind: str = "mobile") -> str:
    """The reason of a refusal, which must quote nothing of what it refuses."""
    with pytest.raises(RejectError) as caught:
        KeyReader(kind, *args).read(raw)
    (text,) = caught.value.args
    assert isinstance(text, str)
    for part in re.findall(r"\w{3,}", str(raw)):
        assert part not in text or part in ("nan", "object"), (part, text)
    return text


def read(raw: object, *args: Any) -> str:
    key = KeyReader("mobile", *args).read(raw)
    assert key.compared == key.sent
    return key.sent


def test_there_are_examples_of_nearly_every_region() -> None:
    assert len({region for region, _ in EXAMPLES}) > 235


@pytest.mark.parametrize("form", [Form.E164, Form.INTERNATIONAL])
@pytest.mark.parametrize("region", [None, "ES", "US", "DE"])
def test_numbers_with_a_plus_mean_the_same_everywhere(form: int, region: str | None) -> None:
    reader = KeyReader("mobile", region)
    for _, number in EXAMPLES:
        assert reader.read(phonenumbers.format_number(number, form)).sent == _e164(number)


def test_canonical_digits_mean_themselves_without_a_region() -> None:
    reader = KeyReader("mobile")
    for _, number in EXAMPLES:
        digits = _e164(number)
        assert reader.read(digits).sent == digits
        assert reader.read(int(digits)).sent == digits
        assert reader.read("00" + digits).sent == digits


@pytest.mark.parametrize("bare", ["fail", "national", "international"])
def test_national_numbers_of_every_region(bare: Any) -> None:
    """Digits that are two numbers fail, or are what was chosen; all others need no choice."""
    ambiguous = 0
    for region, number in EXAMPLES:
        typed = phonenumbers.format_number(number, Form.NATIONAL)
        if re.search(r"[A-Za-z*#]", typed):
            continue
        digits = re.sub(r"\D", "", typed)
        try:
            other = phonenumbers.parse("+" + re.sub("^00", "", digits))
            other = other if phonenumbers.is_valid_number(other) else None
        except phonenumbers.NumberParseException:
            other = None
        reader = KeyReader("mobile", region, bare)
        if other is None or other == number:
            assert reader.read(typed).sent == _e164(number), (region, typed)
            continue
        ambiguous += 1
        if digits.startswith("00"):
            continue
        if bare == "fail":
            with pytest.raises(AmbiguousKeyError):
                reader.read(typed)
        else:
            assert reader.read(typed).sent == _e164(number if bare == "national" else other), (region, typed)
    assert ambiguous > 10


@pytest.mark.parametrize(
    "typed",
    [
        "+34 600 111 222",
        "+34-600-111-222",
        "+34.600.111.222",
        "+34 (600) 111/222",
        "+34 600 [111] 222",
        " \t+34600111222\n",
        "\uff0b\uff13\uff14\uff16\uff10\uff10\uff11\uff11\uff11\uff12\uff12\uff12",  # full width
        "+\u0663\u0664\u0666\u0660\u0660\u0661\u0661\u0661\u0662\u0662\u0662",  # Arabic-Indic
        "+\u06f3\u06f4\u06f6\u06f0\u06f0\u06f1\u06f1\u06f1\u06f2\u06f2\u06f2",  # Persian
        "\u202a+34\u00a0600\u00a0111\u00a0222\u202c",  # as copied from a contacts app
        "\u200e+34600111222\u200b\ufeff",
        "+34\u2010600\u2011111\u2013222",
        "+34\u2212600\u30fc111\uff0d222",
        "0034 600 111 222",
        "34600111222",
        34600111222,
        34600111222.0,
        Decimal("34600111222"),
        Decimal("34600111222.000"),
        Decimal("3.4600111222E+10"),
    ],
)
def test_many_spellings_of_one_number(typed: object) -> None:
    assert read(typed) == SPANISH
    assert read(typed, "ES") == SPANISH


@pytest.mark.parametrize("typed", ["600 111 222", "600111222", 600111222, 600111222.0, "(600) 111-222"])
def test_national_spellings_need_a_region(typed: object) -> None:
    assert read(typed, "ES") == SPANISH
    assert "default_region" in reason(typed)


def test_a_trunk_zero_in_brackets() -> None:
    assert read("+44 (0)20 7946 0958") == "442079460958"
    assert read("020 7946 0958", "GB") == "442079460958"


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (None, "is null"),
        ("", "is blank"),
        (" \t\n", "is blank"),
        (True, "is a bool, not text or a number"),
        (False, "is a bool"),
        (b"34600111222", "is a bytes"),
        (["34600111222"], "is a list"),
        ({"a": 1}, "is a dict"),
        (object(), "is an object"),
        (34600111222.5, "fraction"),
        (Decimal("34600111222.5"), "fraction"),
        (float("nan"), "not a number"),
        (float("inf"), "not a number"),
        (Decimal("NaN"), "not a number"),
        (Decimal("sNaN"), "not a number"),
        (Decimal("-Infinity"), "not a number"),
        (1e22, "fraction, or not a number"),
        (Decimal("1E+400"), "fraction, or not a number"),
        (-34600111222, "is a number below 0"),
        (-34600111222.0, "is a number below 0"),
        ("+34600111222 ext. 5", "is not a phone number"),
        ("+34600111222;ext=5", "is not a phone number"),
        ("+34600111222x5", "is not a phone number"),
        ("+34600111222#5", "is not a phone number"),
        ("tel:+34-600-111-222", "is not a phone number"),
        ("600CALLME", "is not a phone number"),
        ("+34600111222, +34600111333", "is not a phone number"),
        ("+34600111222;+34600111333", "is not a phone number"),
        ("+34600111222 / +34600111333", "is not a phone number"),
        ("+34600111222 or 600111333", "is not a phone number"),
        ("+34600111222 600111333", "is not a valid phone number"),
        ("++34600111222", "is not a phone number"),
        ("\u200b", "is not a phone number"),
        ("+", "is not a"),
        ("+34", "is not a valid phone number"),
        ("+34 600 111 22", "is not a valid phone number"),
        ("+34 600 111 2222", "is not a valid phone number"),
        ("+999 600 111 222", "is not a valid phone number"),
        ("0000000000", "is not a valid phone number"),
        ("9" * 300, "is not a valid phone number"),
        ("34600111222\ud800", "is not a phone number"),
        ("ana@uno.es", "is not a phone number"),
    ],
)
@pytest.mark.parametrize("region", [None, "ES"])
def test_refusals_say_why_and_never_what(raw: object, why: str, region: str | None) -> None:
    assert why in reason(raw, region)


@pytest.mark.parametrize(
    ("typed", "region"),
    [
        ("4930123456.0", None),  # with the zero a longer number of Berlin
        ("3906698123.00", "IT"),
        ("43512345678.0", "AT"),
        ("623199712.0", "ES"),  # with the zero a number of Indonesia
        ("600000001.0", "DE"),
        ("+4930123456.0", None),
        (" 4930123456.0\n", None),
        ("4930123456.0\u200b", "ES"),
    ],
)
def test_the_text_of_a_float_is_no_longer_number(typed: str, region: str | None) -> None:
    """Where numbers are of several lengths, the zero behind the point would make it the number of somebody else."""
    assert "number with a fraction" in reason(typed, region, "national")
    whole = typed.replace("\u200b", "").partition(".")[0]
    assert read(float(whole), region, "national") == read(whole, region, "national"), "a real float is exact"


@pytest.mark.parametrize("typed", ["+34.600.111.000", "+34600.111.000", "+34 600.111000", "+34.600111000"])
def test_points_between_digits_are_punctuation(typed: str) -> None:
    assert read(typed) == read(typed, "DE") == "34600111000"


def _two_meanings() -> tuple[str, str, str]:
    """Digits that are a German number and, with a plus, another country's; and both canonical forms."""
    for _, number in EXAMPLES:
        digits = _e164(number)
        if not digits.startswith("49"):
            national = phonenumbers.parse(digits, "DE")
            if phonenumbers.is_valid_number(national):
                return digits, _e164(national), digits
    raise AssertionError


@pytest.mark.parametrize("zero", ["0", "\uff10"], ids=["plain digits", "full-width digits, which the parser reads"])
def test_bare_numbers_decides_what_two_meanings_mean(zero: str) -> None:
    digits, national, international = _two_meanings()
    typed = digits.translate({ord(str(n)): chr(ord(zero) + n) for n in range(10)})
    assert "bare_numbers='national' or 'international'" in reason(typed, "DE")
    assert read(typed, "DE", "national") == national
    assert read(typed, "DE", "international") == international
    for bare in ("fail", "national", "international"):
        assert read("+" + typed, "DE", bare) == international
        assert read(2 * zero + typed, "DE", bare) == international
        # Also where calls abroad begin otherwise, as in the USA.
        assert read(2 * zero + typed, "US", bare) == international
        # Both readings are of one number.
        spanish = "34600000001".translate({ord(str(n)): chr(ord(zero) + n) for n in range(10)})
        assert read(spanish, "ES", bare) == "34600000001"


def test_a_region_must_have_phone_numbers() -> None:
    with pytest.raises(AfilnetOptionError, match="default_region"):
        KeyReader("mobile", "XX")
    KeyReader("email", "XX")  # of no use there, and harmless


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.one_of(st.sampled_from("0123456789+()- .x,;#/"), st.characters()), max_size=24))
def test_any_text_is_a_number_or_a_reason(text: str) -> None:
    for region in (None, "ES"):
        try:
            key = KeyReader("mobile", region).read(text)
        except RejectError:
            pass
        else:
            assert phonenumbers.is_valid_number(phonenumbers.parse("+" + key.sent))
            assert KeyReader("mobile", region, "international").read("+" + key.sent) == key
