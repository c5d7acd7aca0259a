"""The source of the benchmarks: phones that are real and differ, rows of the promised size, churn of 1 %."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import phonenumbers
import psycopg
import pytest

from benchmarks.rows import FIELDS, PostgresSource, SqliteSource, customers, phone

ROWS = 2_000


def test_every_phone_is_valid_canonical_and_nobody_elses() -> None:
    phones = [phone(number) for number in range(20_000)]
    assert len(set(phones)) == len(phones)
    read = [phonenumbers.parse(f"+{text}") for text in phones]
    assert all(phonenumbers.is_valid_number(number) for number in read)
    form = phonenumbers.PhoneNumberFormat.E164
    assert [phonenumbers.format_number(number, form) for number in read] == [f"+{text}" for text in phones]
    assert sum(number.country_code == 34 for number in read) == 18_000


def test_a_row_is_about_150_bytes() -> None:
    sizes = [
        len(json.dumps(dict(zip(FIELDS, map(str, row[1:]), strict=True)), ensure_ascii=False).encode())
        for row in customers(0, ROWS)
    ]
    assert sum(sizes) / ROWS == pytest.approx(150, abs=15)


def changes(before: list[tuple[str, ...]], after: list[tuple[str, ...]]) -> dict[str, float]:
    old, new = ({row[0]: row for row in rows} for rows in (before, after))
    both = old.keys() & new.keys()
    return {
        "changed": sum(old[key] != new[key] for key in both) / ROWS,
        "new": len(new.keys() - old.keys()) / ROWS,
        "gone": len(old.keys() - new.keys()) / ROWS,
    }


def test_churn_is_one_percent(tmp_path: Path) -> None:
    source = SqliteSource(tmp_path / "source.sqlite", ROWS)
    before = list(source.wanted())
    source.change()
    assert len(before) == ROWS
    assert changes(before, list(source.wanted())) == {"changed": 0.005, "new": 0.0025, "gone": 0.0025}


def test_postgresql_has_the_same_rows(tmp_path: Path, postgres_uri: str) -> None:
    with psycopg.connect(postgres_uri, autocommit=True) as connection:
        sources: list[Any] = [SqliteSource(tmp_path / "source.sqlite", ROWS), PostgresSource(connection, ROWS)]
        before = [sorted(source.wanted()) for source in sources]
        for source in sources:
            source.change()
        after = [sorted(source.wanted()) for source in sources]
        connection.execute("DROP TABLE customers")
    assert before[0] == before[1]
    assert after[0] == after[1] != before[0]
