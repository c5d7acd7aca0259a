"""The demo's warehouse: a SQLite table of customers as a shop might have it, typed by people."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import phonenumbers
from phonenumbers import PhoneNumberFormat, PhoneNumberType

COUNTRIES = ("ES", "PT", "FR", "IT", "DE", "GB", "MX", "AR", "BR", "US", "MA", "PL")
FIRST = ("Ana", "José", "Zoë", "François", "Łukasz", "Mañuela", "João", "Renée", "Jürgen", "Siân", "Aïcha", "Øyvind")
LAST = ("García", "Muñoz", "O'Brien", "Dvořák", "Peña", "Gonçalves", "Müller", "Ñíguez", "D'Ávila", "Çelik", "Håkan")
CITIES = ("Málaga", "Porto", "Saint-Étienne", "Forlì", "Köln", "Stoke, Staffordshire", "México", "Łódź", "A Coruña")
INVALID = ("n/a", "", "12345", "see notes", "+34 600", "0000000000", "no phone", "+999 123 456 789")


def phones(seed: int) -> Iterator[tuple[str, str]]:
    """Distinct valid numbers: as a person types them, and in E.164 without plus.

    They start from the example numbers of ``phonenumbers``, whose last digits are counted up. Only Spanish numbers may
    be typed without a country code: Spain is the demo's default region.
    """
    rng = random.Random(seed)
    seen = set()
    step = 0
    while True:
        step += 1
        for region in COUNTRIES:
            example = phonenumbers.example_number_for_type(region, PhoneNumberType.MOBILE)
            number = phonenumbers.PhoneNumber(
                country_code=example.country_code, national_number=example.national_number + step
            )
            canonical = phonenumbers.format_number(number, PhoneNumberFormat.E164)[1:]
            if canonical in seen or not phonenumbers.is_valid_number(number):
                continue
            seen.add(canonical)
            international = phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL)
            forms = [international, "+" + canonical, "00" + canonical, international.replace(" ", "-")]
            if region == "ES":
                forms += [phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL), canonical[2:], canonical]
            yield rng.choice(forms), canonical


class Warehouse:
    """The table ``customers`` in a SQLite file."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path)
        self._db.execute("CREATE TABLE customers (phone TEXT, full_name TEXT, city TEXT)")
        self._rng = random.Random(2026)
        self._phones = phones(seed=7)
        self._valid: dict[str, str] = {}

    def fill(self, rows: int, invalid: int) -> None:
        """Insert customers, ``invalid`` of them with a phone that nobody could call."""
        self._insert(rows - invalid)
        for number in range(invalid):
            self._db.execute("INSERT INTO customers VALUES (?, ?, ?)", (INVALID[number % len(INVALID)], "Nobody", ""))
        self._db.commit()

    def change(self, *, new: int, changed: int, gone: int) -> None:
        """A day passes: customers come, move house, and leave."""
        chosen = self._rng.sample(sorted(self._valid), changed + gone)
        for phone in chosen[:changed]:
            self._db.execute("UPDATE customers SET city = ? WHERE phone = ?", (self._rng.choice(CITIES) + " II", phone))
        for phone in chosen[changed:]:
            self._db.execute("DELETE FROM customers WHERE phone = ?", (phone,))
            del self._valid[phone]
        self._insert(new)
        self._db.commit()

    def wanted(self) -> dict[str, tuple[str, str]]:
        """What the group must hold: canonical phone to name and city. Made without the provider's own code."""
        rows = self._db.execute("SELECT phone, full_name, city FROM customers").fetchall()
        return {self._valid[phone]: (name, city) for phone, name, city in rows if phone in self._valid}

    def _insert(self, count: int) -> None:
        for _ in range(count):
            phone, canonical = next(self._phones)
            name = f"{self._rng.choice(FIRST)} {self._rng.choice(LAST)}"
            if self._rng.random() < 0.2:
                name = ", ".join(reversed(name.split(" ", 1)))
            self._db.execute("INSERT INTO customers VALUES (?, ?, ?)", (phone, name, self._rng.choice(CITIES)))
            self._valid[phone] = canonical
