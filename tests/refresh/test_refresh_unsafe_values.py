"""Values that ``modifycontact`` cannot carry: refused, rejected, or replaced."""

from __future__ import annotations

import pytest
from refresh_world import World, bag, people, person, phone, shown, table

from airflow_provider_afilnet.sandbox.dialect import Dialect

UNSAFE = ("a,b", "a:b", "mobile:34600000099", ",", "x,city:y")


@pytest.mark.parametrize("value", UNSAFE)
def test_unsafe_values_fail_before_the_first_write(world: World, value: str) -> None:
    world.make(people(1, 2))
    message = world.refused([person(1, name=value), person(2, name="safe"), person(3)])
    assert "1 changed contacts" in message
    assert "row 1" in message
    assert "unsafe_values='reject'" in message
    assert "unsafe_values='replace'" in message
    assert value not in message or value in (",", "a")


@pytest.mark.parametrize("value", UNSAFE)
def test_unsafe_values_can_be_rejected(world: World, value: str) -> None:
    world.make(people(1, 2, 9))
    rows = [person(1, name=value), person(2, name="safe"), person(3, name=value)]
    assert "max_rejected" in world.refused(rows, unsafe_values="reject", mode="mirror")
    result = world.run(rows, unsafe_values="reject", max_rejected=1, mode="mirror")
    assert world.now() == bag([person(1), person(2, name="safe"), person(3, name=value)])
    assert shown(result) == {"rejected": 1, "updated": 1, "added": 1, "deleted": 1}


@pytest.mark.parametrize("value", UNSAFE)
def test_unsafe_values_can_be_replaced(world: World, value: str) -> None:
    world.make(people(1, 2), columns=(*world.columns, "note"))
    before = world.ids()
    # The stored note is no field of the source, and is kept.
    world.sandbox.remove_contacts(world.group, world.ids().values())
    world.sandbox.add_contacts(world.group, [person(1) | {"note": "kept, too"}, person(2)])
    before = world.ids()
    rows = table([person(1, name=value), person(2, name="safe")])
    result = world.run(rows, unsafe_values="replace")
    assert world.now() == bag([person(1, name=value) | {"note": "kept, too"}, person(2, name="safe")])
    assert shown(result) == {"updated": 2}
    assert world.ids()[phone(2)] == before[phone(2)]
    assert world.ids()[phone(1)] != before[phone(1)]
    world.quiet(table([person(1, name=value), person(2, name="safe")]), unsafe_values="replace")


def test_a_stored_value_that_cannot_travel_makes_its_contact_unsafe_too(world: World) -> None:
    world.make([person(1, city="Old, town")])
    rows = [{"mobile": phone(1), "name": "New"}]
    assert "comma or a colon" in world.refused(table(rows, ("mobile", "name")))
    world.sandbox.dialect = Dialect(modify_merges=True)
    world.run(table(rows, ("mobile", "name")), settings={"facts": {"modify_merges": True}})
    assert world.now() == bag([person(1, name="New", city="Old, town")])


def test_a_rejected_unsafe_row_leaves_all_its_copies_alone(world: World) -> None:
    world.make([person(1), person(1, city="Old, town"), person(2)])
    before = world.now()
    rows = table([{"mobile": phone(1), "name": "New"}, {"mobile": phone(2), "name": "Name 2"}], ("mobile", "name"))
    result = world.run(rows, unsafe_values="reject", max_rejected=1)
    assert world.now() == before
    assert shown(result) == {"rejected": 1, "unchanged": 1}
