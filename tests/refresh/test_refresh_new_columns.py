"""Columns that a run adds to the group: which names are refused, and what becomes of a lost answer."""

from __future__ import annotations

from typing import Any

import pytest
from refresh_world import World, bag, person, phone, table

from airflow_provider_afilnet.sandbox import Dialect
from airflow_provider_afilnet.sandbox.dialect import dialects_of

CREATE: dict[str, Any] = {"unknown_columns": "create"}


def _with(name: str, *numbers: int) -> Any:
    return table([person(n) | {name: f"x{n}"} for n in numbers or (1, 2)], ("mobile", "name", "city", name))


@pytest.mark.parametrize("mode", ["insert", "update", "upsert", "mirror"])
@pytest.mark.parametrize("name", ["id", "ID", "idcontact", "IdContact", " id "])
def test_a_name_that_the_answers_use_for_ids_is_refused(world: World, name: str, mode: str) -> None:
    message = world.refused(_with(name), mode=mode, **CREATE)
    assert "the API's answers use that name for a contact's id" in message
    assert "column_map" in message
    assert world.sandbox.columns(world.group) == ["mobile", "name", "city"]


def test_a_map_can_lead_to_such_a_name_and_away_from_it(world: World) -> None:
    assert "contact's id" in world.refused(_with("number"), column_map={"number": "id"}, **CREATE)
    world.run(_with("id"), column_map={"id": "customer"}, **CREATE)
    assert world.sandbox.columns(world.group)[-1] == "customer"


@pytest.mark.parametrize(("kind", "other"), [("mobile", "email"), ("email", "mobile"), ("mobile", "EMail")])
def test_a_second_key_field_needs_a_choice(world: World, kind: str, other: str) -> None:
    """Without one, no later run could tell by which of both the group goes."""
    world.make(columns=(kind, "name"), kind=kind)
    keys = {"mobile": phone(1), "email": "ana@example.com"}
    rows = [{kind: keys[kind], "name": "Ana", other: "x@example.com"}]
    source = lambda: table(rows, (kind, "name", other))  # noqa: E731 - a source can be read only once
    message = world.refused(source(), **CREATE)
    assert "key_field" in message
    assert f"'{kind}'" in message
    assert world.sandbox.columns(world.group) == [kind, "name"]
    world.run(source(), key_field=kind, **CREATE)
    assert world.sandbox.columns(world.group) == [kind, "name", other]
    assert world.now() == bag(rows)
    world.quiet(source(), key_field=kind, **CREATE)
    assert "key_field" in world.refused(source(), **CREATE)


@pytest.mark.parametrize(("fault", "detail"), [("drop_before", {}), ("html", {}), ("garbled", {"applied": False})])
def test_a_column_that_is_lost_and_not_there_is_for_a_retry(world: World, fault: str, detail: dict[str, Any]) -> None:
    """Nothing else was written, and a repeat looks at the columns first."""
    world.sandbox.fail(fault, methods="addcolumntogroup", count=1, **detail)
    ended = world.ends(_with("age"), **CREATE)
    assert ended.error is not None
    assert ended.error.retryable
    assert ended.counts is not None
    assert world.sandbox.columns(world.group) == ["mobile", "name", "city"]
    assert world.stored() == []
    world.run(_with("age"), **CREATE)
    assert world.sandbox.columns(world.group) == ["mobile", "name", "city", "age"]


def test_a_second_column_that_is_lost_is_for_a_retry_too(world: World) -> None:
    """The first one is there by then, and is not made again."""
    rows = [person(1) | {"age": "1", "size": "2"}]
    world.sandbox.fail("drop_before", methods="addcolumntogroup", count=1, after=1)
    ended = world.ends(table(rows, tuple(rows[0])), **CREATE)
    assert ended.error is not None
    assert ended.error.retryable
    world.run(table(rows, tuple(rows[0])), **CREATE)
    assert world.sandbox.columns(world.group) == list(rows[0])
    assert world.sandbox.count("addcolumntogroup") == 3


def test_a_column_is_made_once_in_a_run_of_several_rounds(world: World) -> None:
    world.sandbox.fail("drop_before", methods="addcontactlist", count=1)
    assert world.run(_with("age", *range(10)), **CREATE).rounds == 2
    assert world.sandbox.count("addcolumntogroup") == 1


@pytest.mark.parametrize("repeat", dialects_of("column_repeat"))
@pytest.mark.parametrize("columns", dialects_of("columns"))
@pytest.mark.parametrize("fault", ["drop_after", "drop_before"])
def test_a_column_is_made_once_whatever_a_repeat_would_do(world: World, fault: str, columns: Any, repeat: Any) -> None:
    """A lost answer is settled by looking, so neither this run nor the next one sends it again."""
    world.sandbox.dialect = Dialect(columns=columns, column_repeat=repeat)
    world.sandbox.fail(fault, methods="addcolumntogroup", count=1)
    applied = fault == "drop_after"
    assert world.ends(_with("age"), **CREATE).green is applied
    world.run(_with("age"), **CREATE)
    assert world.sandbox.columns(world.group) == ["mobile", "name", "city", "age"]
    assert world.sandbox.count("addcolumntogroup") == (1 if applied else 2)
    world.quiet(_with("age"), **CREATE)
