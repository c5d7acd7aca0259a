"""Opt-outs: never added, always removed, and never lost sight of."""

from __future__ import annotations

import pytest
from refresh_world import MODES, World, bag, expected, forty_changed, forty_people, people, person, phone, shown


@pytest.mark.parametrize("mode", MODES)
def test_suppressed_people_are_never_added_and_always_removed(world: World, mode: str) -> None:
    world.make(forty_people())
    # 1 is in group and rows, 35 in the group only, 101 in the rows only, 900 in neither.
    out = [phone(n) for n in (1, 35, 101, 900)]
    want, counts = expected(forty_people(), forty_changed(), mode, suppress=out)
    asked = []

    def suppress() -> list[object]:
        asked.append(world.sandbox.writes)
        assert world.sandbox.count("getcontacts") == 1, "asked last, just before the first write"
        return ["+34 600-00-00-01", int(phone(35)), phone(101), phone(900)]

    result = world.run(forty_changed(), mode=mode, suppress=suppress, max_deletes=40)
    assert asked == [0]
    assert world.now() == want
    assert shown(result) == counts
    assert not set(out) & set(world.ids())
    assert not set(out) & set(world.sandbox.sent_rows(world.group))


def test_every_copy_of_a_suppressed_person_goes(world: World) -> None:
    world.make([*people(1, 1, 2), person(3) | {"mobile": "+" + phone(3)}])
    result = world.run(people(2), suppress=[phone(1), phone(3)])
    assert world.now() == bag(people(2))
    assert result.deleted_suppressed == 3


def test_an_empty_suppression_list_must_be_allowed(world: World) -> None:
    assert "allow_empty_suppress" in world.refused(people(1), suppress=[])
    world.run(people(1), suppress=[], allow_empty_suppress=True)
    assert world.now() == bag(people(1))


@pytest.mark.parametrize("key", ["nobody", None, "", "600111222x", b"34600000001"])
def test_an_unreadable_suppressed_key_stops_the_run_and_is_not_quoted(world: World, key: object) -> None:
    message = world.refused(people(1), suppress=[phone(5), key])
    assert "suppressed key number 2" in message
    assert "600111222" not in message
    assert "nobody" not in message


def test_a_failing_suppression_query_stops_the_run(world: World) -> None:
    def broken() -> list[str]:
        raise RuntimeError("database is gone")

    with pytest.raises(RuntimeError, match="database is gone"):
        world.run(people(1), suppress=broken)
    assert world.sandbox.writes == 0


def test_deletions_of_suppressed_people_count_for_max_deletes(world: World) -> None:
    world.make(people(*range(100)))
    message = world.refused(people(1), suppress=[phone(n) for n in range(11)])
    assert "11 contacts of 100" in message
    assert "11 suppressed" in message
    assert "max_deletes=0.1 allows 10" in message


def test_a_stored_canonical_key_is_not_read_as_national_when_it_is_suppressed(world: World) -> None:
    """Read as German, the digits would be another person, who is in the source and there already."""
    import phonenumbers

    digits = next(d for d in map(phone, range(200)) if phonenumbers.is_valid_number(phonenumbers.parse(d, "DE")))
    world.make([{"mobile": digits, "name": "A"}, {"mobile": "49" + digits, "name": "B"}])
    rows = [{"mobile": "+49" + digits, "name": "B"}]
    result = world.run(rows, default_region="DE", bare_numbers="national", suppress=["+" + digits])
    assert shown(result) == {"unchanged": 1, "deleted_suppressed": 1}
    assert world.now() == bag([{"mobile": "49" + digits, "name": "B"}])
