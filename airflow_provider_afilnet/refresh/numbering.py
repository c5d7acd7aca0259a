"""What digits mean as a phone number: the word of ``phonenumbers``, and a quicker reading that never differs from it.

The full parser takes any spelling apart and costs 40 microseconds and more. Most keys are nothing but digits, with a
plus or a few separators; for those the rules of the parser are followed here on the patterns of the installed metadata,
compiled once per country code met. What these rules do not settle (carrier codes, numbers that are rewritten, dialling
prefixes) is left to the full parser, and so is a country code for which the two disagree about the library's own
examples: the metadata belongs to the library and may change its meaning with a release.

This module imports ``phonenumbers`` at once and is itself imported only where a phone is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import phonenumbers

from airflow_provider_afilnet.refresh.normalise import is_float
from airflow_provider_afilnet.refresh.options import BareNumbers

# Enough for every number there is, and short of the lengths that the full parser refuses as such.
_SHORTEST, _LONGEST = 6, 17
# Each of these is punctuation to the parser too, wherever it stands.
_SEPARATORS = str.maketrans("", "", " -.()/[]\u00a0\u2010\u2011\u2012\u2013\u2014\u2015")
_TYPES = (
    "mobile",
    "fixed_line",
    "voip",
    "personal_number",
    "toll_free",
    "shared_cost",
    "premium_rate",
    "uan",
    "pager",
    "voicemail",
)
_Test = Callable[[str], Any]
# What metadata of another shape than today's would raise.
_CHANGED = (AttributeError, IndexError, TypeError)


def full_reading(text: str, region: str | None) -> str | None:
    """The number that the full parser finds, in E.164 without plus, or ``None`` if there is no valid one."""
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if number.extension or not phonenumbers.is_valid_number(number):
        return None
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)[1:])


class QuickReader:
    """Reads phones that are digits, a plus and separators, where the result is certain.

    :param region: ISO alpha-2 country of phones without a country code; ``None`` if there is none.
    :param bare_numbers: what digits mean that are valid both as national and as international number.
    """

    def __init__(self, region: str | None, bare_numbers: BareNumbers) -> None:
        self._region = region
        # Where national numbers may stand too, a look at the digits as they are is not enough.
        self.canonical = _CANONICAL if region is None else None
        self._home = None if region is None else _home(region)
        self._bare = bare_numbers

    def read(self, text: str) -> str | None:
        """The number in E.164 without plus; ``None`` if only the full parser can tell, or refuse."""
        if self.canonical is not None and self.canonical[text[:3]](text):
            return text
        plus = False
        digits = text
        if not (text.isdigit() and text.isascii()):
            if len(text) > 2 * _LONGEST:
                return None
            text = text.strip()
            if "." in text and is_float(text):
                return None
            plus = text.startswith("+")
            digits = text[plus:].translate(_SEPARATORS)
            if not (digits.isdigit() and digits.isascii()):
                return None
        if not _SHORTEST <= len(digits) <= _LONGEST:
            return None
        explicit = plus
        if digits.startswith("00") and not plus:
            digits, explicit = digits[2:], True
        plan = _PLANS[digits[:3]]
        if plan is None:
            return None
        abroad = plan.read(digits[plan.skip :])
        if explicit or self._region is None:
            return abroad or None
        if abroad is None or self._home is None:
            return None
        at_home = self._home.read(digits, abroad)
        if at_home is None:
            return None
        if abroad and at_home and abroad != at_home:
            # Two numbers: with "fail" the full reading says so.
            return None if self._bare == "fail" else at_home if self._bare == "national" else abroad
        return abroad or at_home or None


class _Region:
    """The patterns of one region's metadata, of use to both readings."""

    def __init__(self, metadata: Any) -> None:
        self._metadata = metadata
        general = metadata.general_desc
        self.possible: frozenset[int] = frozenset(general.possible_length)
        self.local: frozenset[int] = frozenset(general.possible_length_local_only)
        self.longest: int = general.possible_length[-1]
        self.general: _Test = re.compile(general.national_number_pattern).fullmatch
        trunk = metadata.national_prefix_for_parsing
        self.trunk: _Test | None = re.compile(trunk).match if trunk else None
        leading = metadata.leading_digits
        self.leading: _Test | None = None if leading is None else re.compile(leading).match
        self._tests: dict[int, list[_Test]] = {}

    def has(self, national: str) -> bool:
        """Whether this is a number of the region, of any type."""
        length = len(national)
        tests = self._tests.get(length)
        if tests is None:
            tests = self._tests[length] = self._tests_of(length)
        for test in tests:
            if test(national):
                return self.general(national) is not None
        return False

    def canonical(self, code: str) -> _Test:
        """Whether a text is a number of the region in E.164 without plus, at one look; most keys are.

        False tells nothing: digits that begin like the prefix of domestic calls need more looks.
        """
        kinds = [
            f"(?=\\d{{{length}}}\\Z)(?:{'|'.join(patterns)})"
            for length in sorted(self.possible)
            if (patterns := self._patterns_of(length))
        ]
        trunk = self._metadata.national_prefix_for_parsing
        return re.compile(
            f"(?=\\d{{{_SHORTEST},{_LONGEST}}}\\Z){code}{f'(?!{trunk})' if trunk else ''}"
            f"(?=(?:{self._metadata.general_desc.national_number_pattern})\\Z)(?:{'|'.join(kinds) or '(?!)'})",
            re.ASCII,
        ).fullmatch

    def _tests_of(self, length: int) -> list[_Test]:
        return [re.compile(pattern).fullmatch for pattern in self._patterns_of(length)]

    def _patterns_of(self, length: int) -> list[str]:
        """The patterns of the types of numbers that have this length, mobiles first, which most keys are."""
        patterns: list[str] = []
        if length not in self.possible:
            return patterns
        for kind in _TYPES:
            described = getattr(self._metadata, kind)
            if described is None or not described.national_number_pattern:
                continue
            if kind == "mobile" and self._metadata.same_mobile_and_fixed_line_pattern:
                continue
            if not described.possible_length or length in described.possible_length:
                patterns.append(described.national_number_pattern)
        return patterns

    def without_trunk(self, national: str) -> str | None:
        """The digits without the prefix of domestic calls; ``None`` where the prefix calls for more than dropping."""
        found = self.trunk(national) if self.trunk is not None else None
        if found is None:
            return national
        if found.lastindex is not None:
            return None
        if not found.end():
            return national
        rest = national[found.end() :]
        return national if self.general(national) and not self.general(rest) else rest

    def significant(self, national: str) -> str | None:
        """As :meth:`without_trunk`, but the prefix stays where the rest is no possible number."""
        if self.trunk is None:
            return national
        rest = self.without_trunk(national)
        if rest is None or rest is national:
            return rest
        length = len(rest)
        return rest if length not in self.local and (length in self.possible or length > self.longest) else national

    def is_too_long(self, length: int) -> bool:
        return length > self.longest and length not in self.local


def _never(text: str) -> None:
    """A test that no text passes."""


class _Plan:
    """The numbers behind one country code; without regions the plan of digits that begin with no country code."""

    def __init__(self, code: str, regions: list[_Region]) -> None:
        self.code = code
        self.skip = len(code)
        self._regions = regions
        alone = len(regions) == 1 and regions[0].leading is None
        self.canonical: _Test = regions[0].canonical(code) if alone else _never

    def read(self, national: str) -> str | None:
        """The number, ``''`` if there is none, ``None`` if that is not certain.

        :param national: digits behind the country code.
        """
        regions = self._regions
        if not regions:
            return ""
        significant = regions[0].significant(national)
        return None if significant is None else self.number(significant)

    def number(self, significant: str) -> str:
        """The number of a national significant number, ``''`` if that is not valid."""
        for region in self._regions:
            if region.leading is None:
                if region.has(significant):
                    return self.code + significant
            elif region.leading(significant):
                return self.code + significant if region.has(significant) else ""
        return ""


class _Home:
    """How digits are read in one region."""

    def __init__(self, metadata: Any, plan: _Plan) -> None:
        self._plan = plan
        self._region = _Region(metadata)
        self._dials_abroad: _Test = re.compile(metadata.international_prefix or "(?!)").match

    def read(self, digits: str, abroad: str) -> str | None:
        """The number, ``''`` if there is none, ``None`` if that is not certain.

        :param abroad: what the digits are with a plus in front.
        """
        if self._dials_abroad(digits):
            return None
        region, plan = self._region, self._plan
        if digits.startswith(plan.code):
            rest = digits[plan.skip :]
            stripped = region.without_trunk(rest)
            if stripped is None:
                return None
            if region.is_too_long(len(digits)) or (not region.general(digits) and region.general(stripped)):
                return abroad if stripped is rest else plan.read(stripped)
        significant = region.significant(digits)
        return None if significant is None else plan.number(significant)


class _Plans(dict[str, _Plan | None]):
    """Plans by the first three digits of a number; ``None`` where only the full parser is to be trusted."""

    def __missing__(self, start: str) -> _Plan | None:
        codes = phonenumbers.COUNTRY_CODE_TO_REGION_CODE
        # No country code begins with 0, nor another one.
        code = next((start[:n] for n in (1, 2, 3) if start[0] != "0" and int(start[:n]) in codes), "")
        plan = self[start] = _plan(code)
        return plan


_PLANS = _Plans()


class _Canonical(dict[str, _Test]):
    """The quickest test for texts that begin with three characters."""

    def __missing__(self, start: str) -> _Test:
        plan = _PLANS[start] if start.isdigit() and start.isascii() else None
        test = self[start] = _never if plan is None else plan.canonical
        return test


_CANONICAL = _Canonical()


@cache
def _plan(code: str) -> _Plan | None:
    """The plan of a country code, checked against the full parser; ``None`` if they differ."""
    if not code:
        return _Plan("", [])
    names = phonenumbers.COUNTRY_CODE_TO_REGION_CODE[int(code)]
    try:
        plan = _Plan(code, [_Region(_metadata(code, name)) for name in names])
        for name in names:
            for national in _near_examples(code, name):
                found = plan.read(national)
                number = full_reading(f"+{code}{national}", None) or ""
                if (found is not None and found != number) or (
                    plan.canonical(code + national) and code + national != number
                ):
                    return None
    except _CHANGED:
        return None
    return plan


@cache
def _home(region: str) -> _Home | None:
    """The readings of a region, checked against the full parser; ``None`` if they differ."""
    code = str(phonenumbers.country_code_for_region(region))
    plan = _plan(code)
    if plan is None:
        return None
    try:
        home = _Home(_metadata(code, region), plan)
        for national in _near_examples(code, region):
            for digits in (national, f"0{national}", code + national):
                abroad = plan.read(digits[plan.skip :]) if digits.startswith(code) else ""
                found = None if abroad is None else home.read(digits, abroad)
                if found is not None and found != (full_reading(digits, region) or ""):
                    return None
    except _CHANGED:
        return None
    return home


def _metadata(code: str, region: str) -> Any:
    return phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(int(code), region)


def _near_examples(code: str, region: str) -> Iterator[str]:
    """The national digits of the library's examples of a region, and the same cut, prolonged and with another head."""
    examples = [phonenumbers.example_number_for_non_geo_entity(int(code))]
    examples += [phonenumbers.example_number_for_type(region, kind) for kind in phonenumbers.PhoneNumberType.values()]
    for example in {phonenumbers.national_significant_number(number) for number in examples if number is not None}:
        yield from (example, example[:-1], f"{example}0", f"0{example}")
