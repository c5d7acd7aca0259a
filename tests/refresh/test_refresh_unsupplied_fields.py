"""A write sends the whole contact, so what the source does not give is compared afterwards, too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from refresh_world import World, bag, people, person, phone, shown, table

from airflow_provider_afilnet.refresh.rows import DictRows
from airflow_provider_afilnet.sandbox.dialect import Dialect

LONG = "a value that was typed by hand"
DAMAGED = [("html", "Fish &amp; Chips"), ("trim", "Soria "), ("truncate", LONG)]


def _rows(name: str = "New", *numbers: int) -> Any:
    return table([{"mobile": phone(n), "name": name} for n in numbers or (1,)], ("mobile", "name"))


def _damage_is_told(world: World, rows: Any, **how: Any) -> None:
    ended = world.ends(rows, **how)
    assert "row 1" in ended.message
    assert ") city: the source does not give it, and it changed with the write" in ended.message
    assert ended.error is not None
    assert not ended.error.retryable
    assert ended.counts is not None
    assert ended.counts.failed == 1


@pytest.mark.parametrize("mode", ["upsert", "update", "mirror"])
def test_a_wrong_fact_about_merging_is_found_out(world: World, mode: str) -> None:
    """This server forgets every field that it is not given."""
    world.make(people(1))
    _damage_is_told(world, _rows(), mode=mode, settings={"facts": {"modify_merges": True}})


@pytest.mark.parametrize("unsafe", [True, False])
@pytest.mark.parametrize(("stored", "city"), DAMAGED)
def test_what_a_server_makes_of_the_other_fields_is_told(world: World, stored: Any, city: str, unsafe: bool) -> None:
    world.make([person(1, city=city)])
    world.sandbox.dialect = Dialect(stored_value=stored)
    _damage_is_told(world, _rows("a, b" if unsafe else "New"), unsafe_values="replace")


@pytest.mark.parametrize("unsafe", [True, False])
@pytest.mark.parametrize(("stored", "city"), DAMAGED)
def test_a_lossy_field_may_be_stored_in_another_form(world: World, stored: Any, city: str, unsafe: bool) -> None:
    """As where the source gives it: a difference in lossy fields alone makes nothing red."""
    world.make([person(1, city=city)])
    world.sandbox.dialect = Dialect(stored_value=stored)
    result = world.run(_rows("a, b" if unsafe else "New"), unsafe_values="replace", lossy_fields="city")
    assert shown(result) == {"updated": 1}


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("merges", [True, False])
@pytest.mark.parametrize("value", ["New", "a, b"])
def test_a_healthy_server_raises_no_alarm(world: World, merges: bool, known: bool, value: str) -> None:
    """Blank fields, long ones and such as the source gives for others only."""
    world.sandbox.dialect = Dialect(modify_merges=merges, empty_values="null")
    before = [person(1, city=""), person(2, city=LONG), person(3, city="  <b> & ")]
    world.make(before)
    facts = {"modify_merges": merges} if known else {}
    result = world.run(_rows(value, 1, 2, 3), unsafe_values="replace", settings={"facts": facts})
    assert shown(result) == {"updated": 3}
    assert world.now() == bag([row | {"name": value} for row in before])


@pytest.mark.parametrize("stored", ["html", "truncate"])
def test_who_is_not_written_is_not_compared(world: World, stored: Any) -> None:
    """Person 1 is as the source says; only person 2 is written, and has nothing that the server would change."""
    world.make([person(1, name="New", city=LONG + "&"), person(2)])
    world.sandbox.dialect = Dialect(stored_value=stored)
    assert shown(world.run(_rows("New", 1, 2))) == {"unchanged": 1, "updated": 1}


@pytest.mark.parametrize("merges", [True, False])
@pytest.mark.parametrize("value", ["New", "a, b"])
def test_a_column_that_the_run_creates_was_blank_before(world: World, merges: bool, value: str) -> None:
    """One row gives it, the other does not."""
    world.sandbox.dialect = Dialect(modify_merges=merges)
    world.make(people(1, 2))
    rows = [{"mobile": phone(1), "name": value, "age": "7"}, {"mobile": phone(2), "name": value}]
    result = world.run(DictRows(rows), unknown_columns="create", unsafe_values="replace")
    assert shown(result) == {"updated": 2}
    assert world.now() == bag([person(1, name=value) | {"age": "7"}, person(2, name=value)])


@pytest.mark.parametrize("fault", [None, "drop_after"])
@pytest.mark.parametrize("copies", [1, 2])
def test_each_contact_is_compared_with_what_it_was(world: World, fault: str | None, copies: int) -> None:
    """Also where another one has the same key, and where the answer to the write was lost."""
    world.make([person(1, city="  City "), person(1, city="City")][:copies])
    world.sandbox.dialect = Dialect(stored_value="trim")
    if fault:
        world.sandbox.fail(fault, methods="modifycontact", count=8)
    ended = world.ends(table([{"mobile": phone(1), "name": "New"}], ("mobile", "name")))
    assert "city: the source does not give it, and it changed with the write" in ended.message


@contextmanager
def _stored_anew(world: World, who: int, name: str) -> Iterator[None]:
    """As a server may do that stores a changed contact as a new one: here without what the source does not give."""
    old = world.ids()[phone(who)]

    def store_anew() -> None:
        world.sandbox.remove_contacts(world.group, [old])
        world.sandbox.add_contacts(world.group, [{"mobile": phone(who), "name": name}])

    world.sandbox.fail("latency", methods="modifycontact", seconds=0.2)
    # The other change comes after this one, over the same connection, so that this one is not late for the last read.
    beside = world.when("modifycontact", store_anew, later=0.3)
    yield
    beside.join()


@pytest.mark.parametrize("mode", ["upsert", "mirror", "update"])
def test_a_contact_with_another_id_is_compared_too(world: World, mode: str) -> None:
    world.make(people(1, 2))
    with _stored_anew(world, 1, "New"):
        _damage_is_told(world, _rows("New", 1, 2), mode=mode, settings={"max_connections": 1})


def test_a_contact_with_another_id_is_written_once(world: World) -> None:
    """Otherwise each round would write what the last one left, and the fields that were lost would be forgotten."""
    world.make(people(1, 2))
    with _stored_anew(world, 1, "Cut"):
        ended = world.ends(_rows("New", 1, 2), settings={"max_connections": 1})
    assert ") name: its value still differs after it was written" in ended.message
    assert ") city: the source does not give it, and it changed with the write" in ended.message
    assert ended.counts is not None
    assert shown(ended.counts) == {"updated": 1, "failed": 1}
    assert world.sandbox.count("modifycontact") == 2


def test_a_second_copy_is_not_taken_for_the_one_that_was_written(world: World) -> None:
    """Somebody adds it by hand meanwhile: it has values of its own where the source gives none."""
    world.make(people(1, 2))
    world.sandbox.fail("latency", methods="modifycontact", seconds=0.2)
    copy = {"mobile": phone(1), "name": "New", "city": "Elsewhere"}
    beside = world.when("modifycontact", lambda: world.sandbox.add_contacts(world.group, [copy]))
    assert shown(world.run(_rows("New", 1, 2))) == {"updated": 2}
    beside.join()


@pytest.mark.parametrize("contacts", ["flat", "nested", "keyed"])
def test_an_id_that_is_listed_among_the_columns_is_no_field(world: World, contacts: Any) -> None:
    world.sandbox.dialect = Dialect(contacts=contacts)
    world.make(people(1, 2), columns=("IdContact", "mobile", "name", "city"))
    result = world.run(_rows("New", 1, 2, 3))
    assert shown(result) == {"added": 1, "updated": 2}
    texts = [call.params["contact"] for call in world.sandbox.calls if call.method == "modifycontact"]
    assert sorted(texts) == [f"mobile:{phone(n)},name:New,city:City {n}" for n in (1, 2)]
    message = world.refused(table([{"mobile": phone(1), "idcontact": "7"}], ("mobile", "idcontact")))
    assert "no field for source column 'idcontact'" in message


def test_what_is_blank_and_stays_so_is_not_sent(world: World) -> None:
    """A column may only seem blank, such as ``id`` where the answers call the contact's id so."""
    world.make([person(1, city=""), person(2), person(3, city="")])
    rows = [person(1, name="New", city=""), person(2, name="New", city=""), person(3, name="New", city="Soria")]
    assert shown(world.run(rows, nulls={"city": "clear"})) == {"updated": 3}
    texts = [call.params["contact"] for call in world.sandbox.calls if call.method == "modifycontact"]
    assert sorted(texts) == [
        f"mobile:{phone(1)},name:New,city:",
        f"mobile:{phone(2)},name:New,city:",
        f"mobile:{phone(3)},name:New,city:Soria",
    ]
    world.sandbox.clear_calls()
    assert shown(world.run(_rows("Newer", 1, 2, 3))) == {"updated": 3}
    texts = [call.params["contact"] for call in world.sandbox.calls if call.method == "modifycontact"]
    assert sorted(texts) == [
        f"mobile:{phone(1)},name:Newer",
        f"mobile:{phone(2)},name:Newer",
        f"mobile:{phone(3)},name:Newer,city:Soria",
    ]
