"""Rows such as no database should give, and some do: a typed error or a reject, and a list of rejects that is JSON."""

from __future__ import annotations

import decimal
import json
from collections import UserDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from refresh_world import World, bag, people, person, phone, shown

from airflow_provider_afilnet.refresh.errors import AfilnetGuardrailError, AfilnetSourceError
from airflow_provider_afilnet.refresh.rows import DictRows, TableRows

HUGE = 10**5000
COLUMNS = ("mobile", "name", "city")


class _Shy:
    """What some drivers give for a type that they do not know."""

    def __str__(self) -> str:
        raise TypeError("no text form")


ODD: dict[str, tuple[list[Any], str, str]] = {
    "number of 5,000 digits": ([phone(1), HUGE, "c"], "name", "is a number of too many digits"),
    "negative number of 5,000 digits": ([phone(1), "n", -HUGE], "city", "is a number of too many digits"),
    "key of 5,000 digits": ([HUGE, "n", "c"], "mobile", "is a number of too many digits"),
    "key of -5,000 digits": ([-HUGE, "n", "c"], "mobile", "is a number below 0"),
    "key beyond floats": ([decimal.Decimal("1E+400"), "n", "c"], "mobile", "is a number with a fraction"),
    "mapping with names that are no text": ([phone(1), {(1, 2): 3}, "c"], "name", "is a dict"),
    "mapping of mappings": ([phone(1), {"a": {("x",): 1}}, "c"], "name", "is a dict"),
    "list of huge numbers": ([phone(1), [HUGE], "c"], "name", "is a list"),
    "set": ([phone(1), {1, 2}, "c"], "name", "is a set"),
    "no text form": ([phone(1), _Shy(), "c"], "name", "is a _Shy"),
    "half of a pair": ([phone(1), "a\ud800", "c"], "name", "holds a control character"),
    "signalling not a number": ([phone(1), decimal.Decimal("sNaN"), "c"], "name", "is not a finite number"),
}


@pytest.mark.parametrize("name", list(ODD))
@pytest.mark.parametrize("as_mapping", [False, True])
def test_an_odd_value_is_a_reject(world: World, tmp_path: Path, name: str, as_mapping: bool) -> None:
    odd, field, why = ODD[name]

    def source() -> Any:
        rows = [list(person(2).values()), odd]
        return DictRows([dict(zip(COLUMNS, r, strict=True)) for r in rows]) if as_mapping else TableRows(COLUMNS, rows)

    ended = world.ends(source())
    assert isinstance(ended.error, AfilnetSourceError)
    assert f"row 2: {field} {why}" in ended.message
    result = world.run(source(), invalid_rows="reject", max_rejected=1, report=tmp_path)
    assert shown(result) == {"added": 1, "rejected": 1}
    assert world.now() == bag(people(2))
    (line,) = (tmp_path / "rejects.jsonl").read_bytes().splitlines()
    reject = json.loads(line)
    assert (reject["row"], reject["field"]) == (2, field)
    assert set(reject["source"]) == set(COLUMNS)


@pytest.mark.parametrize("invalid_rows", ["fail", "reject"])
@pytest.mark.parametrize(
    "odd",
    [
        [phone(1), "n"],
        [phone(1), "n", "c", "d"],
        [],
        person(1),
        UserDict(person(1)),
        {phone(1), "n", "c"},
        "346000000",
        None,
        5,
    ],
)
def test_a_row_that_does_not_fit_its_columns_stops_the_run(world: World, odd: Any, invalid_rows: str) -> None:
    """Which value belongs to which column is not known, so nothing of the source can be trusted."""
    source = TableRows(COLUMNS, [list(person(2).values()), odd])
    ended = world.ends(source, invalid_rows=invalid_rows, max_rejected=5)
    assert isinstance(ended.error, AfilnetSourceError | AfilnetGuardrailError)
    assert not ended.error.retryable
    assert "ow 2" in ended.message
    assert world.stored() == []


@pytest.mark.parametrize("odd", [{("a",): 1, "mobile": phone(1)}, {5: 1, "mobile": phone(1)}, {None: 1}])
def test_a_mapping_needs_texts_for_names(world: World, odd: Mapping[Any, Any]) -> None:
    ended = world.ends(DictRows([person(2), odd]))
    assert isinstance(ended.error, AfilnetSourceError)
    assert "for a name; names must be text" in ended.message


@pytest.mark.parametrize("odd", [{}, {"name": "n"}])
def test_a_mapping_without_a_key_is_a_reject(world: World, tmp_path: Path, odd: Mapping[str, Any]) -> None:
    result = world.run(DictRows([person(2), odd]), invalid_rows="reject", max_rejected=1, report=tmp_path)
    assert shown(result) == {"added": 1, "rejected": 1}
    (line,) = (tmp_path / "rejects.jsonl").read_text().splitlines()
    assert json.loads(line)["source"] == odd
