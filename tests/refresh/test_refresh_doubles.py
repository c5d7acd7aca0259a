"""People who are in the group more than once: who stays, who is written, and whom a rejected row protects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from refresh_world import World, bag, people, person, phone, shown, table

from airflow_provider_afilnet.sandbox.dialect import Dialect

REJECT: dict[str, Any] = {"invalid_rows": "reject", "max_rejected": 1}


@pytest.mark.parametrize("exact", [0, 1, 2])
def test_the_exact_key_survives_whatever_its_id(world: World, exact: int) -> None:
    """The others are only readings of the wanted key, and may be somebody else's number."""
    world.make(
        [person(1) | {"mobile": phone(1) if n == exact else written} for n, written in enumerate(_readings(phone(1)))]
    )
    survivor = world.stored()[exact]
    result = world.run(people(1), mode="mirror")
    assert world.stored() == [survivor]
    assert shown(result) == {"unchanged": 1, "deleted_duplicates": 2}
    assert world.sandbox.count("modifycontact") == 0


def _readings(key: str) -> list[str]:
    return [f"+{key}", f"00{key}", f"+{key[:2]} {key[2:]}"]


def test_without_an_exact_key_the_lowest_id_survives(world: World) -> None:
    world.make([person(1) | {"mobile": written} for written in _readings(phone(1))])
    survivor = world.stored()[0]
    world.run(people(1), mode="mirror")
    assert world.stored() == [survivor]


def test_digits_of_another_country_do_not_cost_the_exact_contact(world: World) -> None:
    """Bare digits that are read as a Spanish number have the lower id, and the Spanish number itself is there."""
    world.make([person(1, name="Kanak") | {"mobile": "687884852"}, person(1) | {"mobile": "34687884852"}])
    rows = [person(1) | {"mobile": "+34687884852"}]
    world.run(rows, mode="mirror", default_region="ES", bare_numbers="national")
    assert world.now() == bag([person(1) | {"mobile": "34687884852"}])


@pytest.mark.parametrize("unsafe_values", ["fail", "reject", "replace"])
@pytest.mark.parametrize("other", [{"name": "a, b"}, {"name": "Old", "city": "x, y"}, {"name": "Old"}])
def test_a_contact_that_goes_anyway_is_not_written(world: World, other: dict[str, str], unsafe_values: str) -> None:
    """Neither does what it holds stop the run or reject the row."""
    world.make([person(1), person(1, **other), *people(2, 3)])
    rows = table(people(1, 2, 3), ("mobile", "name"))
    result = world.run(rows, mode="mirror", unsafe_values=unsafe_values)
    assert world.now() == bag(people(1, 2, 3))
    assert shown(result) == {"unchanged": 3, "deleted_duplicates": 1}
    assert world.sandbox.count("modifycontact", "addcontactlist") == 0


@pytest.mark.parametrize("mode", ["mirror", "upsert", "update"])
@pytest.mark.parametrize("cities", [("City 1", "Old"), ("Old", "City 1"), ("Old", "Older")])
def test_a_row_that_cannot_be_written_protects_all_its_contacts(
    world: World, cities: tuple[str, str], mode: str
) -> None:
    before = [*(person(1, city=city) for city in cities), *people(2, 3)]
    world.make(before)
    rows = [person(1, name="a, b"), *people(2, 3)]
    result = world.run(rows, mode=mode, unsafe_values="reject", **REJECT)
    assert world.now() == bag(before)
    assert shown(result) == {"unchanged": 2, "rejected": 1}
    assert world.sandbox.writes == 0


@pytest.mark.parametrize("cities", [("Soria", "x, y"), ("x, y", "Soria"), ("Soria", "x, y", "Lugo")])
@pytest.mark.parametrize("mode", ["upsert", "update"])
def test_one_copy_that_cannot_be_written_leaves_the_others_alone(
    world: World, mode: str, cities: tuple[str, ...]
) -> None:
    """Its city, which the source does not give, would have to travel with the name."""
    before = [*(person(1, city=city) for city in cities), person(2)]
    world.make(before)
    rows = table([person(1, name="New"), person(2)], ("mobile", "name"))
    result = world.run(rows, mode=mode, unsafe_values="reject", **REJECT)
    assert world.now() == bag(before)
    assert shown(result) == {"unchanged": 1, "rejected": 1}
    assert world.sandbox.writes == 0


def test_a_row_that_is_rejected_in_the_source_protects_all_its_contacts(world: World) -> None:
    before = [person(1), person(1, city="Old"), *people(2, 3)]
    world.make(before)
    result = world.run([person(1, name="\x07"), *people(2, 3)], mode="mirror", **REJECT)
    assert world.now() == bag(before)
    assert shown(result) == {"unchanged": 2, "rejected": 1}


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("bulk_dedupes", [True, False])
def test_first_the_double_goes_then_the_contact_is_replaced(world: World, bulk_dedupes: bool, known: bool) -> None:
    """A server that skips known keys would skip the addition as long as the double is there."""
    world.sandbox.dialect = Dialect(bulk_dedupes=bulk_dedupes)
    world.make([person(1), person(1, city="Old"), person(2)])
    rows = table([{"mobile": phone(n), "name": "a, b"} for n in (1, 2)], ("mobile", "name"))
    facts = {"bulk_dedupes": bulk_dedupes} if known else {}
    result = world.run(rows, mode="mirror", unsafe_values="replace", settings={"facts": facts})
    assert world.now() == bag([person(1, name="a, b"), person(2, name="a, b")])
    assert shown(result) == {"updated": 2, "deleted_duplicates": 1}
    assert result.rounds == 2
    assert world.sandbox.sent_rows(world.group) == {phone(1): 1, phone(2): 1}


def test_all_copies_of_a_listed_person_go_and_count_before_the_first_write(world: World) -> None:
    world.make([*people(*range(9)), *people(*range(9), city="Old")])
    message = world.refused(people(*range(9)), mode="remove")
    assert "18 contacts of 18 would be deleted" in message
    result = world.run(people(*range(9)), mode="remove", max_deletes=18)
    assert shown(result) == {"removed": 9, "deleted": 18}
    assert result.rounds == 1


def test_a_replacement_of_the_second_round_counts_for_max_deletes(world: World) -> None:
    """Nine contacts may go without asking: the doubles alone would pass, with the replacements they are too many."""
    doubles = people(*range(9), city="Old")
    world.make([*people(*range(20)), *doubles])
    rows = [person(n, name="a, b") if n < 2 else person(n) for n in range(20)]
    message = world.refused(rows, mode="mirror", unsafe_values="replace")
    assert message.startswith("Nothing was written: 11 contacts of 29 would be deleted (9 duplicate, 2 replaced)")


def test_deletions_of_earlier_rounds_count_for_max_deletes(world: World) -> None:
    """Nine that the source lacks go first; then two copies show of people whom the first read hid."""
    world.make(people(*range(20), *range(100, 109), 208, 209))
    world.sandbox.fail("hide", keys=[phone(208), phone(209)], count=1)
    ended = world.ends(people(*range(20), *range(120, 190), 208, 209), mode="mirror")
    assert ended.message.startswith("Nothing more was written: 11 contacts of 29 would be deleted (2 extra)")
    assert ended.counts is not None
    assert shown(ended.counts)["deleted"] == 9
    assert world.sandbox.count("deletecontact") == 9


def test_refused_deletions_of_earlier_rounds_do_not_count_for_max_deletes(world: World) -> None:
    """As above, but two of the nine stay, so there is room for both copies."""
    world.make(people(*range(20), *range(100, 109), 208, 209))
    world.sandbox.fail("hide", keys=[phone(208), phone(209)], count=1)
    world.sandbox.fail("error", methods="deletecontact", code="SOME_REASON", count=2)
    ended = world.ends(people(*range(20), *range(120, 190), 208, 209), mode="mirror")
    assert "its deletion was refused with SOME_REASON" in ended.message
    assert ended.counts is not None
    assert shown(ended.counts).items() >= {"deleted": 7, "deleted_duplicates": 2}.items()
    assert len(world.stored()) == 20 + 70 + 2 + 2


def test_a_deletion_that_is_tried_in_two_rounds_counts_once_for_max_deletes(world: World) -> None:
    world.make(people(*range(29)))
    world.sandbox.fail("http_500", methods="deletecontact", count=6, retry_after=0)
    result = world.run(people(*range(20)), mode="mirror", settings={"max_connections": 1})
    assert shown(result) == {"unchanged": 20, "deleted": 9}
    assert result.rounds == 2


def test_the_lowest_id_is_the_smallest_number(world: World, tmp_path: Path) -> None:
    """Which 10 is not beside 9."""
    world.sandbox.dialect = Dialect(contacts="positional")
    world.make([*people(*range(9)), person(9), person(9, city="Old")])
    world.run(people(*range(10)), mode="mirror", dry_run=True, report=tmp_path)
    (planned,) = map(json.loads, (tmp_path / "journal.jsonl").read_text().splitlines())
    assert (planned["operation"], planned["id"]) == ("delete", "10")


def test_who_stays_is_not_chosen_anew(world: World) -> None:
    """The one that stays is rewritten and its key with it; a late read shows it beside the one that was deleted."""
    world.make([*people(1, 1, city="Old"), person(2)])
    survivor = world.stored()[0]["idcontact"]
    world.sandbox.dialect = Dialect(stored_key="plus")
    world.sandbox.fail("latency", methods="deletecontact", seconds=0.2)
    beside = world.when("deletecontact", lambda: world.sandbox.fail("stale_read", count=1))
    result = world.run(people(1, 2), mode="mirror")
    beside.join()
    assert world.sandbox.count("getcontacts") == 3, "the late one, and one more to wait for"
    assert world.now() == bag([person(1) | {"mobile": "+" + phone(1)}, person(2)])
    assert world.stored()[0]["idcontact"] == survivor
    assert shown(result) == {"updated": 1, "unchanged": 1, "deleted_duplicates": 1}


@pytest.mark.parametrize("mode", ["insert", "upsert"])
@pytest.mark.parametrize("hidden", [2, 3])
def test_doubles_that_a_bad_read_hid_are_not_deleted(world: World, hidden: int, mode: str) -> None:
    """The run makes one more, and takes only that one away; who was there before stays, and is told."""
    world.make([*people(*[109] * hidden), *people(*range(200, 210))])
    before = world.stored()
    world.sandbox.fail("hide", keys=[phone(109)], count=1)
    ended = world.ends([*people(*range(60)), person(109)], mode=mode)
    assert world.sandbox.sent_rows(world.group)[phone(109)] == 1
    assert world.now() == bag([*people(*[109] * hidden), *people(*range(200, 210)), *people(*range(60))])
    assert {contact["idcontact"] for contact in before} <= {contact["idcontact"] for contact in world.stored()}
    assert TWICE in ended.message
    assert "row 61 (346******09)" in ended.message


# --- copies that this run may not delete ---

TWICE = "it is there more than once since this run sent it"


@pytest.mark.parametrize("mode", ["insert", "upsert", "mirror"])
@pytest.mark.parametrize("code", ["SOME_REASON", "NOT_ACCESS_TO_GROUP"])
def test_what_is_refused_and_stored_all_the_same_is_told(world: World, code: str, mode: str) -> None:
    """The list is stored and refused, and each half of it again: nobody knows whose copies those are."""
    world.sandbox.fail("error", methods="addcontactlist", code=code, applied=True)
    ended = world.ends(people(*range(7)), mode=mode)
    assert ended.error is not None, ended
    assert not ended.error.retryable
    assert TWICE in ended.message
    assert "row 4 (346******03)" in ended.message
    assert ended.counts is not None
    assert shown(ended.counts) == {"added": 3, "failed": 4}
    keys = [contact["mobile"] for contact in world.stored()]
    assert {n: keys.count(phone(n)) for n in range(7)} == {0: 1, 1: 3, 2: 1, 3: 3, 4: 1, 5: 3, 6: 3}
    assert world.sandbox.count("deletecontact") == 0


def test_what_is_refused_and_stored_once_is_there(world: World) -> None:
    world.sandbox.fail("error", methods=["addcontact", "addcontactlist"], code="SOME_REASON", applied=True)
    assert shown(world.run(people(1))) == {"added": 1}
    assert world.now() == bag(people(1))


def test_without_ids_a_copy_that_another_run_added_is_told(world: World) -> None:
    """Two at once add the same people; where contacts have no ids, neither can take its copies away again."""
    world.sandbox.dialect = Dialect(contacts="no-ids")
    world.sandbox.fail("latency", methods="addcontactlist", seconds=0.2)
    beside = world.when("addcontactlist", lambda: world.sandbox.add_contacts(world.group, people(4, 5)))
    ended = world.ends(people(*range(10)), mode="insert")
    beside.join()
    assert TWICE in ended.message
    assert ended.error is not None
    assert not ended.error.retryable
    assert "row 5 (346******04)" in ended.message
    assert "row 6 (346******05)" in ended.message
    assert ended.counts is not None
    assert shown(ended.counts) == {"added": 8, "failed": 2}


def test_without_ids_a_double_that_was_there_is_left_alone(world: World) -> None:
    world.make(people(1, 1, 2))
    world.sandbox.dialect = Dialect(contacts="no-ids")
    assert shown(world.run(people(1, 2, 3), mode="insert")) == {"added": 1, "skipped": 2}


def test_what_is_refused_because_it_is_there_was_there_before(world: World) -> None:
    """The first read hides both copies of somebody whom no probe can ask for."""
    both = [person(1, name="a, b"), person(1, name="a, b")]
    world.make([*both, person(2)])
    world.sandbox.fail("hide", keys=[phone(1)], count=1)
    world.sandbox.fail("error", methods="addcontactlist", code="CONTACT_EXISTS")
    world.run([person(1, name="a, b"), person(2)])
    assert world.now() == bag([*both, person(2)])
