"""The quick reading of phones never differs from the full parser, and is the way that most numbers go.

Compared are the library's examples of every region and type in many forms, and 100,000 strings made from them by
mistakes. What the quick reading leaves to the full parser cannot differ; it is only counted.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import phonenumbers
import pytest
from phonenumbers import PhoneNumberFormat as Form

from airflow_provider_afilnet.refresh import numbering
from airflow_provider_afilnet.refresh.normalise import AmbiguousKeyError, Key, KeyReader, RejectError, _key_text
from airflow_provider_afilnet.refresh.numbering import full_reading

LONG = bool(os.environ.get("AFILNET_LONG"))
SEED = 20261122
MUTATED = 100_000
REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
CODES = sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)
BARE = ("fail", "national", "international")

pytestmark = pytest.mark.timeout(3_600 if LONG else 300)


class _Example:
    """A number, valid or not, as the library gives it."""

    def __init__(self, region: str | None, number: Any) -> None:
        self.region = region
        self.number = number
        self.digits = phonenumbers.format_number(number, Form.E164)[1:]
        self.significant = phonenumbers.national_significant_number(number)

    def forms(self) -> dict[str, str | int]:
        national = phonenumbers.format_number(self.number, Form.NATIONAL)
        return {
            "canonical": self.digits,
            "integer": int(self.digits),
            "plus": f"+{self.digits}",
            "double zero": f"00{self.digits}",
            "significant": self.significant,
            "trunk zero": f"0{self.significant}",
            "national": "".join(re.findall(r"\d", national)),
            "national, typed": national,
            "international, typed": phonenumbers.format_number(self.number, Form.INTERNATIONAL),
        }


def _examples() -> Iterator[_Example]:
    for region in REGIONS:
        for kind in phonenumbers.PhoneNumberType.values():
            number = phonenumbers.example_number_for_type(region, kind)
            if number is not None:
                yield _Example(region, number)
        yield _Example(region, phonenumbers.invalid_example_number(region))
    for code in sorted(phonenumbers.COUNTRY_CODES_FOR_NON_GEO_REGIONS):
        metadata = phonenumbers.PhoneMetadata.metadata_for_nongeo_region(code)
        for kind in numbering._TYPES:
            described = getattr(metadata, kind)
            if described is not None and described.example_number is not None:
                yield _Example(None, phonenumbers.parse(f"+{code}{described.example_number}"))


EXAMPLES = list(_examples())


@cache
def readers(region: str | None) -> tuple[KeyReader, ...]:
    return tuple(KeyReader("mobile", region, bare) for bare in BARE)  # type: ignore[arg-type]


def in_full(reader: KeyReader, raw: str | int) -> Key | RejectError:
    try:
        return reader._phone(_key_text(raw))
    except RejectError as refused:
        return refused


def expected(region: str | None, raw: str | int) -> list[Key | RejectError]:
    """What the full parser makes of a key, for each ``bare_numbers``, which matters to two meanings only."""
    first, *others = readers(region)
    found = in_full(first, raw)
    if isinstance(found, AmbiguousKeyError):
        return [found, *(in_full(reader, raw) for reader in others)]
    return [found] * len(BARE)


def way(region: str | None, raw: str | int) -> str:
    """Compare all three readings of one key; how it was read: ``quick``, ``full`` or, in any way, ``refused``."""
    text = _key_text(raw)
    wanted = expected(region, raw)
    ways = set()
    for reader, full in zip(readers(region), wanted, strict=True):
        assert reader._quick is not None
        quick = reader._quick.read(text)
        if quick is not None:
            # Identity of the texts aside, this is all that a caller can see.
            assert full == Key(quick, quick), f"{region}, bare_numbers={reader._bare}: {raw!r}"
            assert reader.read(raw) == full
        ways.add("quick" if quick is not None else "refused" if isinstance(full, RejectError) else "full")
    return "full" if "full" in ways else "quick" if "quick" in ways else "refused"


def test_the_library_is_trusted_as_installed() -> None:
    """The check of each country code passes, or every number would silently go the long way."""
    assert not [code for code in CODES if numbering._plan(str(code)) is None]
    assert not [region for region in REGIONS if numbering._home(region) is None]


def test_all_examples_in_all_forms() -> None:
    assert len(EXAMPLES) > 1_500
    counts: Counter[tuple[str, str]] = Counter()
    for n, example in enumerate(EXAMPLES):
        # In turn, so that each region meets the numbers of many others, its neighbours in the list not always.
        others = REGIONS if LONG else [REGIONS[n % len(REGIONS)], REGIONS[n * 7 % len(REGIONS)]]
        for region in dict.fromkeys([None, example.region, *others]):
            for form, raw in example.forms().items():
                where = "no region" if region is None else "its own" if region == example.region else "another"
                counts[f"{form}, {where}", way(region, raw)] += 1
    total: Counter[str] = Counter()
    for key in sorted({key for key, _ in counts}):
        row = {name: counts[key, name] for name in ("quick", "full", "refused")}
        total.update(row)
        print(f"{key:40} {row}")
    print(f"{'all':40} {dict(total)}")
    for form in ("canonical", "integer", "plus", "double zero"):
        for where in ("no region", "its own", "another"):
            quick, full = (counts[f"{form}, {where}", name] for name in ("quick", "full"))
            assert quick > 0.98 * (quick + full), (form, where)
    assert total["quick"] > 0.95 * (total["quick"] + total["full"])


# --- mistakes --------------------------------------------------------------------------------------------------------

_ZEROS = "\u0660\u06f0\u0966\u09e6\uff10\U0001d7ce"
_SEPARATORS = [*" -./()[]~", "\u2013", "\u2212", "\u3000", "\u00a0", "\t", "\u200b", "  ", " (0)", " / ", "#", "x", ","]


def _changed(text: str, at: int, rng: random.Random) -> str:
    return text[:at] + rng.choice("0123456789") + text[at + 1 :]


def _dropped(text: str, at: int, rng: random.Random) -> str:
    return text[:at] + text[at + 1 :]


def _doubled(text: str, at: int, rng: random.Random) -> str:
    return text[: at + 1] + text[at:]


def _swapped(text: str, at: int, rng: random.Random) -> str:
    return text[:at] + text[at : at + 2][::-1] + text[at + 2 :]


def _prefixed(text: str, at: int, rng: random.Random) -> str:
    head = rng.choice(["0", "00", "000", "1", "8", "9", "+", "+0", "011", "0011", "810", "15", str(rng.choice(CODES))])
    return head + text


def _separated(text: str, at: int, rng: random.Random) -> str:
    return text[:at] + rng.choice(_SEPARATORS) + text[at:]


def _in_another_script(text: str, at: int, rng: random.Random) -> str:
    zero = ord(rng.choice(_ZEROS))
    return text[:at] + (chr(zero + int(text[at])) if text[at : at + 1].isdecimal() else "") + text[at + 1 :]


def _cut_to_random(text: str, at: int, rng: random.Random) -> str:
    return text[:at] + "".join(rng.choices("0123456789", k=rng.randrange(4, 12)))


MISTAKES: list[Callable[[str, int, random.Random], str]] = [
    _changed,
    _dropped,
    _doubled,
    _swapped,
    _prefixed,
    _separated,
    _in_another_script,
    _cut_to_random,
]


def mutated(rng: random.Random) -> tuple[str | None, str]:
    """A key with one mistake to three, and a region in which it is read."""
    example = rng.choice(EXAMPLES)
    text = str(rng.choice(list(example.forms().values())))
    for _ in range(rng.choice((1, 1, 1, 1, 2, 3))):
        text = rng.choice(MISTAKES)(text, rng.randrange(len(text) or 1), rng)
    region = rng.choice((None, example.region, example.region, example.region, rng.choice(REGIONS)))
    return region, text


def test_a_hundred_thousand_mistakes() -> None:
    rng = random.Random(SEED)
    cases: list[tuple[str | None, str]] = []
    while len(cases) < MUTATED:
        region, text = mutated(rng)
        if text.strip():
            cases.append((region, text))
    # Neighbours together: the parser compiles its patterns again and again otherwise.
    cases.sort(key=lambda case: (case[0] or "", case[1]))
    counts = Counter(way(region, text) for region, text in cases)
    print(f"seed {SEED}: {dict(counts)}")
    assert counts["refused"] > MUTATED * 0.2
    assert counts["quick"] > MUTATED * 0.15
    # Digits of other scripts, dialling prefixes, long dashes: no common case.
    assert counts["full"] < counts["quick"]


def test_numbers_that_begin_like_the_prefix_of_domestic_calls() -> None:
    """The prefix stays where the digits are a number with it and none without; few numbers, so they are sought.

    Dropped all the same, it would leave a number to the full parser that needs none.
    """
    rng = random.Random(SEED)
    counts: Counter[str] = Counter()
    for example in EXAMPLES:
        if example.region is None:
            continue
        prefix = phonenumbers.PhoneMetadata.metadata_for_region(example.region).national_prefix
        if prefix and example.significant.startswith(prefix):
            code = example.digits[: -len(example.significant)]
            for _ in range(150):
                kept = rng.randrange(len(prefix), 5)
                length = len(example.significant) + rng.choice((0, 0, 0, -2, -1, 1, 2))
                digits = (example.significant[:kept] + "".join(rng.choices("0123456789", k=length)))[:length]
                counts[way(None, code + digits)] += 1
                counts[way(example.region, digits)] += 1
    print(f"seed {SEED}: {dict(counts)}")
    assert counts["quick"] > 500
    assert counts["quick"] > 50 * counts["full"]


# --- a quick reading that is wrong ------------------------------------------------------------------------------------


def _no_trunk(self: Any, national: str) -> str:
    return national


def _first_region_only(self: Any, significant: str) -> str:
    return self.code + significant if self._regions and self._regions[0].has(significant) else ""


def _any_number_possible(self: Any, national: str) -> bool:
    return len(national) in self.possible


def _no_second_meaning(self: Any, digits: str, abroad: str) -> str:
    return abroad


WRONG = [
    (numbering._Region, "without_trunk", _no_trunk),
    (numbering._Plan, "number", _first_region_only),
    (numbering._Region, "has", _any_number_possible),
    (numbering._Home, "read", _no_second_meaning),
]


@pytest.fixture
def forgotten() -> Iterator[None]:
    """Plans are made anew in the test, and again after it."""

    def forget() -> None:
        numbering._PLANS.clear()
        numbering._CANONICAL.clear()
        for made in (numbering._plan, numbering._home, readers):
            made.cache_clear()

    forget()
    yield
    forget()


@pytest.mark.parametrize(("owner", "rule", "wrong"), WRONG, ids=[rule for _, rule, _ in WRONG])
@pytest.mark.usefixtures("forgotten")
def test_a_wrong_rule_is_found_by_the_comparison(
    owner: Any, rule: str, wrong: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, rule, wrong)
    monkeypatch.setattr(numbering, "_near_examples", lambda code, region: iter(()))
    with pytest.raises(AssertionError, match="bare_numbers="):
        test_all_examples_in_all_forms()


@pytest.mark.usefixtures("forgotten")
def test_a_country_is_read_in_full_where_the_library_means_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """A release of the library that reads its metadata otherwise is noticed by its own examples."""
    today = phonenumbers.is_valid_number
    free, mobile = (
        phonenumbers.example_number_for_type("ES", kind)
        for kind in (phonenumbers.PhoneNumberType.TOLL_FREE, phonenumbers.PhoneNumberType.MOBILE)
    )
    monkeypatch.setattr(
        phonenumbers,
        "is_valid_number",
        lambda number: today(number) and phonenumbers.number_type(number) != phonenumbers.PhoneNumberType.TOLL_FREE,
    )
    assert numbering._plan("34") is None
    assert numbering._home("ES") is None
    for region in (None, "ES", "FR"):
        assert way(region, f"34{free.national_number}") == "refused"
        assert way(region, f"34{mobile.national_number}") == "full"


@pytest.mark.usefixtures("forgotten")
def test_a_country_is_read_in_full_where_its_metadata_has_another_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        phonenumbers.PhoneMetadata, "metadata_for_region_or_calling_code", lambda code, region: object()
    )
    assert numbering._plan("34") is None
    assert numbering._home("ES") is None


# --- cost ------------------------------------------------------------------------------------------------------------


def test_only_the_countries_met_are_loaded() -> None:
    code = (
        "import sys\n"
        "from airflow_provider_afilnet.refresh.normalise import KeyReader\n"
        "reader = KeyReader('mobile')\n"
        "before = {name for name in sys.modules if name.startswith('phonenumbers.data.region_')}\n"
        "for n in range(1000): reader.read(f'346{n:08}')\n"
        "after = {name for name in sys.modules if name.startswith('phonenumbers.data.region_')}\n"
        "print(len(before), *sorted(after - before))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "phonenumbers.data.region_ES"]


@pytest.mark.parametrize("region", [None, "ES"])
def test_common_numbers_are_read_many_times_faster_than_by_the_parser(region: str | None) -> None:
    numbers = [f"346{n:08}" for n in range(0, 100_000_000, 100_003)]
    read = KeyReader("mobile", region).read

    def seconds(reads: Callable[[str], object]) -> float:
        start = time.process_time()
        for number in numbers:
            reads(number)
        return time.process_time() - start

    ours, parser = (
        min(seconds(reads) for _ in range(5)) for reads in (read, lambda number: full_reading(f"+{number}", None))
    )
    assert ours * 5 < parser
