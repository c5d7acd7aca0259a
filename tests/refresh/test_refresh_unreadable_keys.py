"""A stored key that cannot be read may be anybody's: nobody is added twice for it, and no opt-out is taken as done."""

from __future__ import annotations

from typing import Any

import pytest
from refresh_world import World, bag, people, person, phone, shown

NATIONAL = {"mobile": "600000200", "name": "Name 200"}
"""Person 200, in a form that needs a region to be read; one of 151, so few that the run goes on."""


def _make(world: World) -> None:
    world.make([*people(*range(150)), NATIONAL])


@pytest.mark.parametrize("mode", ["upsert", "update", "insert", "remove"])
def test_an_opt_out_may_be_behind_a_key_that_cannot_be_read(world: World, mode: str) -> None:
    _make(world)
    rows = people(0) if mode == "remove" else [person(0, name="New"), *people(1, 2), person(300)]
    ended = world.ends(rows, mode=mode, suppress=[phone(3), phone(200)])
    assert "contact (346******00): it opted out and may be a contact of the group" in ended.message
    assert phone(200) not in ended.message
    assert ended.error is not None
    assert not ended.error.retryable
    assert ended.counts is not None
    assert ended.counts.deleted_suppressed == 1
    assert ended.counts.failed == 0, "no row of the source is concerned"
    # Everything else is done.
    assert phone(3) not in world.ids()
    assert (phone(300) in world.ids()) == (mode in ("upsert", "insert"))
    assert (phone(0) in world.ids()) == (mode != "remove")
    names = {contact["mobile"]: contact["name"] for contact in world.stored()}
    assert names.get(phone(0)) == {"remove": None, "insert": "Name 0"}.get(mode, "New")


@pytest.mark.parametrize("stored", ["34600000200.0", "600000200.00"])
def test_an_opt_out_may_be_behind_the_text_of_a_float(world: World, stored: str) -> None:
    """As left there by a file that went through a spreadsheet."""
    world.make([*people(*range(150)), {"mobile": stored}])
    ended = world.ends(people(0, 1), suppress=[phone(200)])
    assert "contact (346******00): it opted out and may be a contact of the group" in ended.message


@pytest.mark.parametrize("mode", ["upsert", "update", "insert", "remove"])
@pytest.mark.parametrize("stored", ["600000200", "not known", "", "12345"])
def test_an_opt_out_that_it_cannot_be_disturbs_nobody(world: World, mode: str, stored: str) -> None:
    world.make([*people(*range(150)), {"mobile": stored, "name": "x"}])
    assert world.ends(people(0, 1), mode=mode, suppress=[phone(3), phone(201)]).green


@pytest.mark.parametrize("mode", ["remove", "update"])
def test_whoever_may_be_there_unread_is_not_skipped_in_silence(world: World, mode: str) -> None:
    """Who is to be removed, or changed, may be that contact."""
    _make(world)
    ended = world.ends([person(0, name="New"), person(200, name="New")], mode=mode)
    assert "row 2 (346******00): it may be a contact of the group that ends in the same digits" in ended.message
    assert ended.counts is not None
    assert ended.counts.failed == 1
    assert NATIONAL in [{k: v for k, v in contact.items() if k != "idcontact"} for contact in world.stored()]


@pytest.mark.parametrize("mode", ["upsert", "update", "insert", "remove"])
def test_without_opt_outs_it_is_nobody_s_concern(world: World, mode: str) -> None:
    _make(world)
    assert world.ends(people(0, 1), mode=mode).green


@pytest.mark.parametrize("mode", ["upsert", "insert"])
@pytest.mark.parametrize(
    "stored", ["600000200", "0600 000 200", "(34)600-000-200 x", "x600000200", "34600000200.0", "600000200.00 "]
)
def test_whoever_may_be_there_already_is_not_added(world: World, mode: str, stored: str) -> None:
    """It ends in the same seven digits; the others land, and no later run adds anybody twice."""
    before = [*people(*range(150)), {"mobile": stored}]
    world.make(before)
    rows = people(*range(150), 200, 201, 1200)
    for late in (False, True):
        ended = world.ends(rows, mode=mode)
        assert "1 contacts" in ended.message
        assert "row 151 (346******00): it may be a contact of the group that ends in the same digits" in ended.message
        assert ended.error is not None
        assert not ended.error.retryable
        assert ended.counts is not None
        assert (ended.counts.added, ended.counts.failed) == (0 if late else 2, 1)
        assert world.now() == bag([*before, *people(201, 1200)])
        assert phone(200) not in world.sandbox.sent_rows(world.group)


def test_too_few_digits_are_nobody(world: World) -> None:
    """Six digits, or none, fit too many people to keep one away."""
    world.make([*people(*range(300)), {"mobile": "000400"}, {"mobile": "unknown"}])
    assert shown(world.run(people(400, 401), mode="upsert")) == {"added": 2}


def test_with_the_region_it_is_that_person(world: World) -> None:
    _make(world)
    result = world.run([person(200, name="New")], default_region="ES")
    assert shown(result) == {"updated": 1}


def test_it_does_not_keep_the_person_itself_from_an_update(world: World) -> None:
    """Person 200 is there a second time under a key that can be read."""
    world.make([*people(*range(150), 200), NATIONAL])
    assert shown(world.run([person(200, name="New")])) == {"updated": 1}


BOTH = "687884852"
"""A number of New Caledonia, and without its country code one of Spain."""


@pytest.mark.parametrize("mode", ["upsert", "update", "insert", "remove"])
@pytest.mark.parametrize("stored", [BOTH, "687 884 852"])
def test_an_opt_out_may_stand_there_as_another_country_s_number(world: World, stored: str, mode: str) -> None:
    """Typed by hand without the country code, and read as what the digits are as they stand."""
    world.make([*people(*range(5)), {"mobile": stored, "name": "By hand"}])
    ended = world.ends(people(0, 1), mode=mode, suppress=[phone(3), f"34{BOTH}"])
    assert "contact (346******52): it opted out and may be a contact of the group that stands there" in ended.message
    assert ended.error is not None
    assert not ended.error.retryable
    assert stored in world.ids(), "it may be somebody else"
    assert phone(3) not in world.ids()
    world.sandbox.remove_contacts(world.group, [world.ids()[stored]])
    assert world.ends(people(0, 1), mode=mode, suppress=[phone(3), f"34{BOTH}"]).green


@pytest.mark.parametrize("stored", [f"+{BOTH}", f"00{BOTH}"])
def test_a_number_with_its_country_code_is_nobody_else_s(world: World, stored: str) -> None:
    world.make([*people(*range(5)), {"mobile": stored}])
    assert world.ends(people(0, 1), suppress=[f"34{BOTH}"]).green
    assert stored in world.ids()


@pytest.mark.parametrize("how", ["wanted", "rejected", "suppressed", "mirror", "region"])
def test_whoever_is_known_by_the_other_number_is_no_riddle(world: World, how: str) -> None:
    world.make([*people(*range(5)), {"mobile": BOTH, "name": "By hand"}])
    rows = people(*range(5))
    options: dict[str, Any] = {}
    out = [f"34{BOTH}"]
    if how in ("wanted", "rejected"):
        rows.append({"mobile": BOTH, "name": "Kanak" if how == "wanted" else "\x07"})
        options = {"invalid_rows": "reject", "max_rejected": 1}
    elif how == "suppressed":
        out.append(BOTH)
        options = {"verify": False}
    elif how == "mirror":
        options = {"mode": "mirror", "verify": False}
    else:
        options = {"default_region": "ES", "bare_numbers": "national"}
    assert world.ends(rows, suppress=out, **options).green
    assert (BOTH in world.ids()) == (how in ("wanted", "rejected"))
