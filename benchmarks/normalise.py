"""What normalising and validating a row costs: microseconds per key, value and row, and the ratio to the bare library.

Run it with ``python benchmarks/normalise.py [ROWS]`` (20,000 by default). Every line is measured in this one run, the
best of five turns, in processor time; times differ from machine to machine and from hour to hour, the ratios much less.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Sequence

import phonenumbers
from email_validator import validate_email

from airflow_provider_afilnet.refresh.normalise import KeyReader, RejectError, value_text

TURNS = 5
VALUES = ["Ana Pérez", "Madrid", "2026-11-22", "12.50", "gold"]


def microseconds(read: Callable[[str], object], keys: Sequence[str]) -> float:
    """The best of five turns, for one key."""

    def turn() -> float:
        start = time.process_time()
        for key in keys:
            read(key)
        return time.process_time() - start

    return min(turn() for _ in range(TURNS)) / len(keys) * 1e6


def bare_phone(region: str | None) -> Callable[[str], object]:
    """The library on its own, once for the digits with a plus and once more as national digits."""
    form = phonenumbers.PhoneNumberFormat.E164

    def parse(text: str, region: str | None) -> str | None:
        try:
            number = phonenumbers.parse(text, region)
        except phonenumbers.NumberParseException:
            return None
        return phonenumbers.format_number(number, form) if phonenumbers.is_valid_number(number) else None

    def read(text: str) -> object:
        abroad = parse(text if text.startswith("+") else f"+{text}", None)
        return abroad if region is None or text.startswith("+") else (abroad, parse(text, region))

    return read


def is_phone(reader: KeyReader, key: str) -> bool:
    try:
        reader.read(key)
    except RejectError:
        return False
    return True


def row(reader: KeyReader) -> Callable[[str], object]:
    """A key and five values, as a source row has them."""

    def read(key: str) -> object:
        return reader.read(key), [value_text(value) for value in VALUES]

    return read


def main(rows: int) -> None:
    rng = random.Random(1)
    mobiles = [f"346{rng.randrange(10**8):08}" for _ in range(rows)]
    emails = [f"user{n}@example{n % 50}.com" for n in range(rows)]
    cases: list[tuple[str, str | None, list[str]]] = [
        ("34612345678", None, mobiles),
        ("34612345678", "ES", mobiles),
        ("+34612345678", None, [f"+{key}" for key in mobiles]),
        ("0034612345678", "ES", [f"00{key}" for key in mobiles]),
        ("612345678", "ES", [key[2:] for key in mobiles]),
        ("+34 612 34-56-78", None, [f"+{key[:2]} {key[2:5]} {key[5:7]}-{key[7:9]}-{key[9:]}" for key in mobiles]),
        ("4915112345678", "DE", [f"49151{rng.randrange(10**8):08}" for _ in range(rows)]),
        ("0612345678", "FR", [f"06{rng.randrange(10**8):08}" for _ in range(rows)]),
        ("447400123456", "GB", [f"4474{rng.randrange(10**8):08}" for _ in range(rows)]),
        ("12015550123", "US", [f"1201{rng.randrange(2, 10)}{rng.randrange(10**6):06}" for _ in range(rows)]),
        ("5491123456789", "AR", [f"54911{rng.randrange(2, 8)}{rng.randrange(10**7):07}" for _ in range(rows)]),
    ]
    print(f"{'key':18} {'region':7} {'reader':>8} {'library':>8} {'ratio':>6} {'row of 5 values':>16}")
    for name, region, keys in cases:
        reader = KeyReader("mobile", region, "international")
        keys = [key for key in keys if is_phone(reader, key)]
        ours, library = microseconds(reader.read, keys), microseconds(bare_phone(region), keys)
        line = f"{name:18} {region or '':7} {ours:8.2f} {library:8.2f} {library / ours:6.1f}"
        print(f"{line} {microseconds(row(reader), keys):16.2f}")
    reader = KeyReader("email")
    ours = microseconds(reader.read, emails)
    library = microseconds(lambda text: validate_email(text, check_deliverability=False), emails[:2000])
    line = f"{'ana@example.com':18} {'':7} {ours:8.2f} {library:8.2f} {library / ours:6.1f}"
    print(f"{line} {microseconds(row(reader), emails):16.2f}")
    integers = KeyReader("mobile", "ES")
    print(f"\ninteger 34612345678, region ES: {microseconds(lambda key: integers.read(int(key)), mobiles):.2f}")
    print(f"value_text of a short text: {microseconds(value_text, [*VALUES] * (rows // 5)):.3f}")
    print(f"match_form of a mobile: {microseconds(integers.match_form, mobiles):.3f}")
    print(f"match_form of an e-mail: {microseconds(reader.match_form, emails):.3f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
