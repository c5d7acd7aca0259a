"""Every option: what it accepts, templated text included, what it refuses, and how a limit counts."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import pytest

from airflow_provider_afilnet.refresh.errors import AfilnetOptionError
from airflow_provider_afilnet.refresh.options import Limit, RefreshOptions

COUNT, FRACTION = "count", "fraction"

ACCEPTED: dict[str, list[tuple[Any, Any]]] = {
    "mode": [(mode, mode) for mode in ("insert", "update", "upsert", "mirror", "remove")],
    "key_field": [(None, None), ("mobile", "mobile"), (" Email ", "email")],
    "column_map": [(None, {}), ({}, {}), ({" Phone ": " mobile ", "N": "Name"}, {"phone": "mobile", "n": "Name"})],
    "unknown_columns": [(choice, choice) for choice in ("fail", "ignore", "create")],
    "default_region": [(None, None), ("ES", "ES"), (" es ", "ES")],
    "bare_numbers": [(choice, choice) for choice in ("fail", "national", "international")],
    "nulls": [("keep", "keep"), ("clear", "clear"), ({" City ": "clear"}, {"city": "clear"}), ({}, {})],
    "duplicates": [(choice, choice) for choice in ("fail", "first", "last")],
    "invalid_rows": [(choice, choice) for choice in ("fail", "reject")],
    "max_rejected": [
        (0, Limit(count=0)),
        ("0", Limit(count=0)),
        (7, Limit(count=7)),
        (" 7 ", Limit(count=7)),
        (" 0.5 ", Limit(fraction=0.5)),
        (0.5, Limit(fraction=0.5)),
        ("0.5", Limit(fraction=0.5)),
        (".5", Limit(fraction=0.5)),
        ("1.", Limit(fraction=1.0)),
        (1, Limit(count=1)),
        (1.0, Limit(fraction=1.0)),
        ("1", Limit(count=1)),
        ("1.0", Limit(fraction=1.0)),
        ("0.0", Limit(fraction=0.0)),
    ],
    "allow_empty": [(True, True), (False, False), ("true", True), (" False ", False), ("TRUE", True)],
    "unsafe_values": [(choice, choice) for choice in ("fail", "reject", "replace")],
    "lossy_fields": [
        (None, frozenset()),
        ([], frozenset()),
        (["Name", " City"], frozenset({"name", "city"})),
        (("Name",), frozenset({"name"})),
        ({"Name"}, frozenset({"name"})),
        ("Name, City", frozenset({"name", "city"})),
    ],
    "batch_size": [(1, 1), ("250", 250), (" 250 ", 250)],
    "settle": [(0, 0.0), (2, 2.0), (0.5, 0.5), ("0.5", 0.5), (" 3 ", 3.0), (86399, 86399.0)],
}
REFUSED: dict[str, list[Any]] = {
    "mode": ["", "None", "Upsert", None, 1, ["upsert"], "delete", True],
    "key_field": ["", "None", "phone", "name", 1, ["mobile"]],
    "column_map": [
        "None", "phone:mobile", ["phone"], {"phone": None}, {1: "mobile"}, {"": "mobile"}, {"phone": " "}, {"a": 1},
    ],
    "unknown_columns": ["", "None", "drop", None, True],
    "default_region": ["", "None", "ESP", "Spain", "34", 34, "E1", b"ES", ["ES"]],
    "bare_numbers": ["", "None", "foreign", None],
    "nulls": ["", "None", "Keep", None, True, {"city": "drop"}, {"city": None}, ["city"]],
    "duplicates": ["", "None", "any", None],
    "invalid_rows": ["", "None", "skip", None],
    "max_rejected": [
        -1, "-1", 1.5, "1.5", 2.0, -0.1, "-0.1", "", " ", "10%", "1e-1", "1e3", "5.", "1,5", "0x1", "one", None, True,
        "true", "None", float("nan"), "nan", float("inf"), [1], b"1", "1" * 13, "1 0", "٠٫١", "+1", "1_0",
    ],
    "allow_empty": ["", "None", "yes", "1", "5", 1, 0, None, "on", [], 0.0],
    "unsafe_values": ["", "None", "escape", None],
    "lossy_fields": ["", ",", "a,,b", [1], ["  "], 5, {"a": 1}.items(), b"name"],
    "batch_size": [0, -1, "0", "", "None", "-5", "1.0", "5.", "1e3", 1.0, None, True, "many", [1]],
    "settle": [-1, "-1", "", "None", "soon", "5.", None, True, float("nan"), float("inf"), "inf", "1e3", 86400, [1]],
}  # fmt: skip
for _same, _as in (
    ("max_deletes", "max_rejected"),
    ("batch_bytes", "batch_size"),
    *((name, "allow_empty") for name in ("delete_despite_rejects", "allow_empty_suppress", "dry_run", "verify")),
):
    ACCEPTED[_same], REFUSED[_same] = ACCEPTED[_as], REFUSED[_as]


def _pairs(table: dict[str, list[Any]]) -> list[Any]:
    return [pytest.param(name, item, id=f"{name}-{item!r}"[:60]) for name, items in table.items() for item in items]


def test_every_option_is_tested() -> None:
    fields = {field.name for field in dataclasses.fields(RefreshOptions)}
    assert fields == set(ACCEPTED) == set(REFUSED)
    assert set(inspect.signature(RefreshOptions.read).parameters) == fields


@pytest.mark.parametrize(("option", "pair"), _pairs(ACCEPTED))
def test_accepted(option: str, pair: tuple[Any, Any]) -> None:
    given, read = pair
    found = getattr(RefreshOptions.read(**{option: given}), option)
    assert found == read
    assert type(found) is type(read)


@pytest.mark.parametrize(("option", "given"), _pairs(REFUSED))
def test_refused(option: str, given: Any) -> None:
    with pytest.raises(AfilnetOptionError, match=f"option '{option}|option \"?{option}|{option}") as caught:
        RefreshOptions.read(**{option: given})
    assert not caught.value.retryable


def test_the_defaults_are_those_of_the_constructor() -> None:
    assert RefreshOptions.read() == RefreshOptions()
    assert RefreshOptions().max_deletes == Limit(fraction=0.1)
    assert RefreshOptions().max_rejected == Limit(count=0)


def test_a_column_named_twice_is_refused() -> None:
    with pytest.raises(AfilnetOptionError, match="twice"):
        RefreshOptions.read(column_map={"Phone": "mobile", "phone ": "name"})


def test_there_is_no_other_option() -> None:
    with pytest.raises(TypeError):
        RefreshOptions.read(max_delete=1)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("limit", "total", "allowed"),
    [
        (Limit(count=5), 1_000_000, 5),
        (Limit(count=5), 0, 5),
        (Limit(count=0), 100, 0),
        (Limit(fraction=0.1), 30, 3),
        (Limit(fraction=0.1), 29, 2),
        (Limit(fraction=0.3), 10, 3),
        (Limit(fraction=0.07), 100, 7),
        (Limit(fraction=0.29), 100, 29),
        (Limit(fraction=1.0), 12345, 12345),
        (Limit(fraction=0.0), 100, 0),
    ],
)
def test_limit_arithmetic(limit: Limit, total: int, allowed: int) -> None:
    assert limit.allows(total) == allowed
    # A fraction never trips below ten, a count does.
    assert limit.allows(total, always=9) == (allowed if limit.count is not None else max(9, allowed))


def test_a_limit_shows_what_was_given() -> None:
    assert (str(Limit(count=5)), str(Limit(fraction=0.1))) == ("5", "0.1")
