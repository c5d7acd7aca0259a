"""All that can be wrong with a source is said in one error, before a write, by row, with the way out, of nobody."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from refresh_world import World, bag, people, person, phone, shown, table

from airflow_provider_afilnet.refresh.rows import DictRows, TableRows

SECRET = "Zaragozano"


def clean(message: str) -> str:
    """A refusal names nobody and quotes no value."""
    assert SECRET not in message
    assert "@" not in message
    assert not any(len(digits) > 5 for digits in "".join(ch if ch.isdigit() else " " for ch in message).split())
    return message


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({"mobile": None}, "mobile is null"),
        ({"mobile": ""}, "mobile is blank"),
        ({"mobile": "  "}, "mobile is blank"),
        ({"mobile": SECRET}, "mobile is not a phone number"),
        ({"mobile": "600111222"}, "mobile is not a valid phone number (national numbers need default_region)"),
        ({"mobile": "+34600111"}, "mobile is not a valid phone number"),
        ({"mobile": b"34600111222"}, "mobile is a bytes"),
        ({"mobile": True}, "mobile is a bool"),
        ({"mobile": 34600111222.5}, "mobile is a number with a fraction"),
        ({"name": SECRET + "\x00"}, "name holds a control character"),
        ({"name": SECRET + "\r\n"}, "name holds a control character"),
        ({"city": SECRET + "\ud83d"}, "city holds a control character"),
        ({"city": float("nan")}, "city is not a finite number"),
        ({"city": Decimal("Infinity")}, "city is not a finite number"),
        ({"city": [SECRET]}, "city is a list"),
        ({"city": {SECRET: 1}}, "city is a dict"),
        ({"city": SECRET.encode()}, "city is a bytes"),
    ],
)
def test_a_bad_row_stops_the_run_or_is_left_out(world: World, bad: dict[str, Any], why: str) -> None:
    rows = [*people(1, 2), {**person(3), **bad}, person(4)]
    message = clean(world.refused(rows))
    assert f"1 of 4 rows cannot be sent: row 3: {why}" in message
    assert "invalid_rows='reject' and max_rejected" in message
    assert "max_rejected=0 allows 0" in clean(world.refused(rows, invalid_rows="reject"))
    result = world.run(rows, invalid_rows="reject", max_rejected=1)
    assert shown(result) == {"added": 3, "rejected": 1}
    assert world.now() == bag(people(1, 2, 4))


def test_every_wrong_thing_is_said_at_once(world: World) -> None:
    rows = [
        person(1),
        {**person(2), "mobile": None},
        person(1),
        {**person(3), "name": "\x07"},
        {**person(1), "mobile": "+" + phone(1)},
    ]
    message = clean(world.refused(rows))
    for part in ("2 of 5 rows", "row 2: mobile is null", "row 4: name holds", "rows 1 and 3", "rows 1 and 5"):
        assert part in message
    assert "2 rows have the key of an earlier row" in message


def test_of_many_bad_rows_ten_are_named(world: World) -> None:
    message = clean(world.refused([{**person(n), "mobile": None} for n in range(5000)]))
    assert "5000 of 5000 rows" in message
    assert message.count("mobile is null") == 10
    assert "and more" in message
    assert len(message) < 1000


def test_of_many_doubles_ten_are_named(world: World) -> None:
    message = clean(world.refused(people(*range(3000), *range(3000))))
    assert "3000 rows have the key of an earlier row" in message
    assert message.count("rows ") < 20


@pytest.mark.parametrize("invalid", ["fail", "reject"])
def test_ambiguous_digits_ask_for_a_choice(world: World, invalid: str) -> None:
    import phonenumbers

    digits = next(d for d in map(phone, range(200)) if phonenumbers.is_valid_number(phonenumbers.parse(d, "DE")))
    rows = [person(1) | {"mobile": digits}, person(2) | {"mobile": "+" + phone(900)}]
    how: dict[str, Any] = {"default_region": "DE", "invalid_rows": invalid, "max_rejected": 5}
    message = clean(world.refused(rows, **how))
    assert "1 phones are valid both in DE" in message
    assert "row 1" in message
    assert "bare_numbers='national' or 'international'" in message
    world.run(rows, bare_numbers="international", **how)
    assert set(world.ids()) == {digits, phone(900)}


@pytest.mark.parametrize(("choice", "kept"), [("first", "A"), ("last", "C")])
def test_duplicates(world: World, choice: str, kept: str) -> None:
    spellings = (phone(1), "+34 600-000-001", int(phone(1)))
    rows = [{**person(1), "mobile": key, "name": name} for key, name in zip(spellings, "ABC", strict=True)]
    message = clean(world.refused(rows))
    assert "2 rows have the key of an earlier row" in message
    assert "duplicates='first' or 'last'" in message
    result = world.run([*rows, person(2)], duplicates=choice)
    assert shown(result) == {"added": 2, "duplicates": 2}
    assert world.now() == bag([person(1, name=kept), person(2)])


@pytest.mark.parametrize(("choice", "kept"), [("first", 0), ("last", 6999)])
def test_duplicates_far_apart(world: World, choice: str, kept: int) -> None:
    rows = [person(n % 10, name=f"Row {n}") for n in range(7000)]
    world.run(rows, duplicates=choice)
    assert len(world.stored()) == 10
    assert f"Row {kept}" in {contact["name"] for contact in world.stored()}
    assert {contact["name"] for contact in world.stored()} == {
        f"Row {n}" for n in (range(10) if choice == "first" else range(6990, 7000))
    }


def test_emails_that_differ_in_case_are_duplicates(world: World) -> None:
    world.make(columns=("email",), kind="email")
    assert "rows 1 and 2" in world.refused([{"email": "ana@uno.es"}, {"email": "ANA@Uno.es"}]).replace("***", "")


# --- columns


def test_an_unknown_column_stops_the_run(world: World) -> None:
    rows = table([{**person(1), "age": 4}], ("mobile", "name", "city", "age"))
    message = clean(world.refused(rows))
    for part in ("'age'", "mobile, name, city", "column_map", "'ignore'", "'create'"):
        assert part in message


def test_an_unknown_column_can_be_ignored(world: World) -> None:
    world.run(table([{**person(1), "age": 4}], ("mobile", "age", "name", "city")), unknown_columns="ignore")
    assert world.now() == bag(people(1))
    assert world.sandbox.columns(world.group) == ["mobile", "name", "city"]


def test_an_unknown_column_can_be_created(world: World) -> None:
    world.make(people(1, 2))
    rows = [{**person(1), "Age": 4}, {**person(2), "Age": None}, {**person(3), "Age": 5}]
    how: dict[str, Any] = {"unknown_columns": "create"}
    columns = ("mobile", "name", "city", "Age")
    dry = world.run(table(rows, columns), dry_run=True, **how)
    assert world.sandbox.columns(world.group) == ["mobile", "name", "city"]
    result = world.run(table(rows, columns), **how)
    assert dry.plan_digest == result.plan_digest
    assert world.sandbox.columns(world.group) == ["mobile", "name", "city", "Age"]
    assert world.now() == bag([person(1) | {"Age": "4"}, person(2), person(3) | {"Age": "5"}])
    assert shown(result) == {"updated": 1, "unchanged": 1, "added": 1}
    world.quiet(table(rows, columns), **how)


@pytest.mark.parametrize("fault", ["drop_after", "html", "http_500", "drop_before"])
def test_a_column_of_unknown_fate_is_looked_up(world: World, fault: str) -> None:
    applied = fault in ("drop_after", "html")
    world.sandbox.fail(fault, methods="addcolumntogroup", count=1, **({"applied": True} if fault == "html" else {}))
    rows = [{**person(1), "age": "4"}]
    ended = world.ends(table(rows, (*world.columns, "age")), unknown_columns="create")
    assert ended.green == applied
    assert world.sandbox.count("addcolumntogroup") == 1
    if not applied:
        assert world.stored() == []
    world.run(table(rows, (*world.columns, "age")), unknown_columns="create")
    assert world.now() == bag(rows)
    assert world.sandbox.columns(world.group) == ["mobile", "name", "city", "age"]


@pytest.mark.parametrize("name", ["idContact", "a,b", "a:b", " "])
def test_a_column_that_the_api_cannot_name_is_not_created(world: World, name: str) -> None:
    rows = table([{**person(1), name: "x"}], ("mobile", "name", "city", name))
    assert "cannot be created" in world.refused(rows, unknown_columns="create")


def test_columns_of_mappings_are_checked_row_by_row(world: World) -> None:
    rows = [{"mobile": phone(1)}, {"mobile": phone(2), "age": 3}]
    assert "'age'" in clean(world.refused(DictRows(rows)))
    world.run(DictRows(rows), unknown_columns="create")
    assert world.now() == bag([{"mobile": phone(1)}, {"mobile": phone(2), "age": "3"}])


def test_the_map_is_without_case_and_may_meet_any_spelling(world: World) -> None:
    rows = TableRows(("TELEFONO", " Name ", "cITY"), [("+" + phone(1), "A", "B")])
    world.run(rows, column_map={"telefono": "Mobile"})
    assert world.now() == bag([{"mobile": phone(1), "name": "A", "city": "B"}])


@pytest.mark.parametrize("kind", [TableRows, DictRows])
def test_the_map_must_name_columns_that_are_there(world: World, kind: type) -> None:
    rows: Any = [{"phone": phone(1)}]
    rows = DictRows(rows) if kind is DictRows else TableRows(("phone",), [(phone(1),)])
    message = clean(world.refused(rows, column_map={"phone": "mobile", "nombre": "name"}))
    assert "'nombre'" in message
    assert "phone" in message


@pytest.mark.parametrize("kind", [TableRows, DictRows])
def test_two_columns_for_one_field(world: World, kind: type) -> None:
    names = ("mobile", "name", "nombre")
    rows: Any = TableRows(names, [(phone(1), "A", "B")])
    if kind is DictRows:
        rows = DictRows([dict(zip(names, (phone(1), "A", "B"), strict=True))])
    message = clean(world.refused(rows, column_map={"nombre": "NAME"}))
    assert "'name'" in message
    assert "'nombre'" in message


def test_two_columns_of_one_name(world: World) -> None:
    assert "both map" in world.refused(TableRows(("mobile", "name", "Name"), [(phone(1), "A", "B")]))
    assert "both map" in world.refused(TableRows(("mobile", "Mobile"), [(phone(1), phone(2))]), mode="remove")


def test_a_table_without_the_key_stops_before_its_rows_are_read(world: World) -> None:
    def rows() -> Iterator[tuple[str, ...]]:
        raise AssertionError("read")
        yield ()

    message = clean(world.refused(TableRows(("city", "name"), rows())))
    assert "no column for the group's key field 'mobile'" in message
    assert "column_map" in message


def test_a_mapping_without_the_key_is_a_bad_row(world: World) -> None:
    assert "row 2: mobile is missing" in clean(world.refused(DictRows([person(1), {"name": "A"}])))


def test_a_column_needs_a_text_for_a_name(world: World) -> None:
    assert "names must be text" in world.refused(DictRows([{"mobile": phone(1), None: "x"}]))  # type: ignore[dict-item]


def test_nulls_and_lossy_fields_must_name_fields_of_the_group(world: World) -> None:
    """A misspelt field would silently keep what the user wants cleared."""
    assert "nulls names the field 'ctiy'" in clean(world.refused(people(1), nulls={"ctiy": "clear"}))
    assert "lossy_fields names the field 'nmae'" in clean(world.refused(people(1), lossy_fields="nmae, city"))
    rows = table([{**person(1), "age": None}], (*world.columns, "age"))
    world.run(rows, unknown_columns="create", nulls={"AGE": "clear"}, lossy_fields=["age", "mobile"])


def test_in_remove_mode_only_the_key_column_counts(world: World) -> None:
    world.make(people(1, 2))
    world.run(TableRows(("age", "mobile"), [({"any": "thing"}, phone(1))]), mode="remove")
    assert world.now() == bag(people(2))


@pytest.mark.parametrize("columns", [("name", "city"), ("telephone",)])
def test_a_group_without_a_key_field(world: World, columns: tuple[str, ...]) -> None:
    world.make(columns=("mobile", *columns))
    world.sandbox._state.store.set_fields(world.sandbox._group(world.group), columns)
    assert "neither a 'mobile' nor an 'email' column" in world.refused(people(1))


def test_an_error_of_the_source_itself_passes_through(world: World) -> None:
    def rows() -> Iterator[tuple[str, ...]]:
        yield (phone(1), "A", "B")
        raise OSError("the cursor broke")

    with pytest.raises(OSError, match="the cursor broke"):
        world.run(TableRows(world.columns, rows()))
    assert world.sandbox.writes == 0


def test_the_group_is_not_even_read_for_a_bad_source(world: World) -> None:
    world.refused([{**person(1), "mobile": None}])
    assert world.sandbox.count("getcontacts") == 0


def test_the_group_is_not_even_read_for_too_many_rejects(world: World) -> None:
    rows = [person(1), person(2, mobile="nobody")]
    assert "max_rejected=0 allows 0" in world.refused(rows, invalid_rows="reject")
    assert world.sandbox.count("getcontacts") == 0


def test_every_reject_is_in_the_report(world: World, tmp_path: Path) -> None:
    rows = [
        person(1),
        {**person(2), "mobile": None},
        {**person(3), "name": SECRET + "\x00"},
        {**person(4), "city": b"\xff"},
        {**person(5), "city": "half \ud83d"},
        {**person(6), "city": float("nan")},
    ]
    world.refused(rows, report=tmp_path / "r")
    lines = [json.loads(line) for line in (tmp_path / "r" / "rejects.jsonl").read_text("utf-8").splitlines()]
    assert [(line["row"], line["field"], line["outcome"]) for line in lines] == [
        (2, "mobile", "rejected"),
        (3, "name", "rejected"),
        (4, "city", "rejected"),
        (5, "city", "rejected"),
        (6, "city", "rejected"),
    ]
    assert lines[1]["source"] == {**person(3), "name": SECRET + "\x00"}
    assert lines[3]["source"]["city"] == "half \ud83d"
    assert json.loads((tmp_path / "r" / "report.json").read_text("utf-8"))["status"] == "failed"


@pytest.mark.parametrize(("nulls", "city"), [("keep", "City 1"), ("clear", "")])
def test_nulls_mean_the_same_beside_a_rejected_row(world: World, nulls: str, city: str) -> None:
    """Rows that stand near a bad one are read one by one."""
    world.make(people(1))
    rows = [person(1, name="New", city=""), person(2, mobile="nobody")]
    world.run(rows, nulls=nulls, invalid_rows="reject", max_rejected=1)
    assert world.now() == bag([person(1, name="New", city=city)])


def test_max_rejected_may_be_a_fraction(world: World) -> None:
    rows = [*people(*range(18)), {**person(50), "mobile": None}, {**person(51), "mobile": None}]
    assert "2 of 20 rows were rejected" in world.refused(rows, invalid_rows="reject", max_rejected=0.09)
    world.run(rows, invalid_rows="reject", max_rejected=0.1)


def test_a_source_of_rejects_only_is_empty(world: World) -> None:
    rows = [{**person(1), "mobile": None}]
    message = world.refused(rows, invalid_rows="reject", max_rejected=1)
    assert "no row that can be sent (1 were rejected)" in message
    assert "allow_empty" in message
