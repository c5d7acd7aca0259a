"""Before the first update or deletion ``getcontact`` must know the contact: a check, and no false alarm."""

from __future__ import annotations

from pathlib import Path

import pytest
from refresh_world import World, bag, people, person, phone, shown

from airflow_provider_afilnet.api.calls import contact_text
from airflow_provider_afilnet.api.client import AfilnetClient
from airflow_provider_afilnet.refresh.errors import AfilnetLyingReadError
from airflow_provider_afilnet.sandbox.dialect import Dialect

GONE = ["NOT_ACCESS_TO_CONTACT", "NOT_ACCESS_TO_GROUP"]


def _goes(world: World, *numbers: int) -> None:
    """Somebody deletes contacts by hand while the check is under way."""
    ids = [world.ids()[phone(number)] for number in numbers]
    world.sandbox.fail("latency", methods="getcontact", seconds=0.3, count=1)
    world.when("getcontact", lambda: world.sandbox.remove_contacts(world.group, ids))


@pytest.mark.parametrize("mode", ["mirror", "remove"])
@pytest.mark.parametrize("numbers", [[2], [0, 1, 2]])
def test_everybody_to_delete_has_gone_meanwhile(world: World, mode: str, numbers: list[int]) -> None:
    """Which is what was wanted."""
    world.make(people(*range(6)))
    _goes(world, *numbers)
    stay = [n for n in range(6) if n not in numbers]
    result = world.run(people(*(stay if mode == "mirror" else numbers)), mode=mode)
    assert world.now() == bag(people(*stay))
    assert result.deleted == len(numbers)


@pytest.mark.parametrize("mode", ["update", "upsert", "mirror"])
def test_everybody_to_update_has_gone_meanwhile(world: World, mode: str) -> None:
    world.make(people(*range(6)))
    _goes(world, 4, 5)
    rows = [*people(*range(4)), *people(4, 5, name="New")]
    result = world.run(rows, mode=mode)
    assert world.now() == bag(people(*range(4)) if mode == "update" else rows)
    assert result.failed == 0


def test_the_three_that_are_asked_for_have_gone_and_others_have_not(world: World) -> None:
    world.make(people(*range(20)))
    _goes(world, 17, 18, 19)
    result = world.run(people(*range(12)), mode="mirror")
    assert world.now() == bag(people(*range(12)))
    assert shown(result) == {"unchanged": 12, "deleted": 8}


@pytest.mark.parametrize("code", GONE)
@pytest.mark.parametrize("mode", ["mirror", "update"])
def test_a_contact_that_is_not_found_is_a_case_and_no_end(world: World, mode: str, code: str) -> None:
    """Whether the server names the contact or the group: the next candidate tells."""
    world.make(people(*range(6)))
    world.sandbox.fail("error", methods="getcontact", code=code, count=1)
    rows = people(*range(4)) if mode == "mirror" else people(*range(6), name="New")
    world.run(rows, mode=mode)
    assert world.now() == bag(rows)
    assert world.sandbox.count("getcontact") == 2


@pytest.mark.parametrize("code", GONE)
def test_a_single_candidate_is_asked_for_again_after_another_read(world: World, code: str) -> None:
    world.make(people(1, 2, 3))
    world.sandbox.fail("error", methods="getcontact", code=code, count=1)
    world.run(people(1, 2), mode="mirror")
    assert world.now() == bag(people(1, 2))


def test_a_group_that_is_lost_is_an_end(world: World) -> None:
    """The same code, and the group itself does not answer either."""
    world.make(people(*range(6)))
    world.sandbox.fail("error", methods=["getcontact", "getgroupcolumns"], code="NOT_ACCESS_TO_GROUP", after=1)
    ended = world.ends(people(*range(4)), mode="mirror")
    assert not ended.green
    assert "NOT_ACCESS_TO_GROUP" in ended.message
    assert world.now() == bag(people(*range(6)))


@pytest.mark.parametrize("mode", ["mirror", "update", "remove"])
def test_the_highest_planned_id_is_asked_for(world: World, mode: str) -> None:
    """Ids that are really positions agree with the true ones up to the first gap."""
    world.make(people(*range(15)))
    ids = {number: world.ids()[phone(number)] for number in range(15)}
    rows = people(*range(2, 13)) if mode == "mirror" else people(0, 8, 14, name="New")
    world.run(rows, mode=mode)
    asked = [call.params["idcontact"] for call in world.sandbox.calls if call.method == "getcontact"]
    assert asked == [ids[14]]


def test_the_highest_id_is_the_greatest_number(world: World) -> None:
    """Which 9 is not beside 11."""
    world.sandbox.dialect = Dialect(contacts="positional")
    world.make(people(*range(12)))
    world.ends(people(*range(12), name="New"))
    asked = [call.params["idcontact"] for call in world.sandbox.calls if call.method == "getcontact"]
    assert asked[:3] == ["11", "10", "9"]


@pytest.mark.parametrize("code", GONE)
@pytest.mark.parametrize("mode", ["update", "upsert", "mirror", "remove"])
def test_wrong_ids_stop_the_run_with_nobody_changed(world: World, mode: str, code: str) -> None:
    world.sandbox.dialect = Dialect(contacts="positional", missing_contact_code=code)
    world.make(people(*range(12)))
    ended = world.ends(people(*range(9), name="New"), mode=mode)
    assert isinstance(ended.error, AfilnetLyingReadError)
    assert not ended.error.retryable
    assert "ids are not what they seem; nobody was updated or deleted" in ended.message
    assert world.now() == bag(people(*range(12)))


@pytest.mark.parametrize("mode", ["update", "remove"])
def test_an_id_that_answers_somebody_else_stops_the_run(world: World, mode: str) -> None:
    """That others answer rightly is no comfort; here somebody changes the phone by hand, which looks the same."""
    world.make(people(*range(6)))
    highest = world.ids()[phone(5)]
    world.sandbox.fail("latency", methods="getcontact", seconds=0.3, count=1)

    def by_hand() -> None:
        with AfilnetClient(world.settings()) as client:
            text = contact_text(person(77), method="modifycontact")
            client.call("modifycontact", idgroup=world.group, idcontact=highest, contact=text)

    beside = world.when("getcontact", by_hand)
    ended = world.ends(people(*range(6), name="New"), mode=mode)
    beside.join()
    assert isinstance(ended.error, AfilnetLyingReadError)
    assert "nobody was updated or deleted" in ended.message
    assert world.now() == bag(people(*range(5), 77))


@pytest.mark.parametrize("code", GONE)
def test_ids_that_nobody_knows_stop_the_run(world: World, code: str) -> None:
    """Read again, they are still shown, and still unknown."""
    world.make(people(*range(12)))
    world.sandbox.fail("error", methods="getcontact", code=code)
    ended = world.ends(people(*range(12), name="New"))
    assert "ids are not what they seem" in ended.message
    assert world.now() == bag(people(*range(12)))


def test_a_read_that_lies_while_ids_are_checked_is_not_believed(world: World, tmp_path: Path) -> None:
    """Nobody was found, and the answer that should tell why is null: nothing is written, least of all unchecked."""
    world.make(people(*range(30)))
    world.sandbox.fail("error", methods="getcontact", code="NOT_ACCESS_TO_GROUP", count=3)
    world.sandbox.fail("null_read", after=1, count=1)
    rows = people(*range(20), name="New")
    ended = world.ends(rows, mode="mirror", max_deletes=1.0, report=tmp_path)
    assert "now answers null" in ended.message
    assert world.sandbox.writes == 0
    assert world.now() == bag(people(*range(30)))
