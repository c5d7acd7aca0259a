"""An answer of ``getcontacts`` that ends at a limit gives itself away before anybody is added twice or overlooked."""

from __future__ import annotations

import pytest
from refresh_world import World, bag, people, person, phone, shown

from airflow_provider_afilnet.refresh.errors import AfilnetLyingReadError


@pytest.mark.parametrize("mode", ["upsert", "insert", "mirror"])
@pytest.mark.parametrize("cap", [50, 64, 192, 250, 1024])
def test_a_round_number_must_show_the_probes_before_bulk(world: World, cap: int, mode: str) -> None:
    """Six people are beyond the cut, too few for the probes to meet one of them."""
    there = range(1000, 1006 + cap)
    world.make(people(*there))
    world.sandbox.fail("capped_read", limit=cap)
    ended = world.ends(people(*range(300), *there), mode=mode)
    assert isinstance(ended.error, AfilnetLyingReadError), ended
    assert not ended.error.retryable
    assert "nothing was sent in bulk" in ended.message
    assert world.sandbox.count("addcontactlist") == 0
    assert len(world.stored()) == len(world.ids()) == cap + 9, "three probes more, and nobody twice"


@pytest.mark.parametrize(("size", "reads"), [(0, 2), (49, 2), (50, 3), (51, 2), (63, 2), (64, 3), (65, 2), (32, 2)])
def test_only_a_round_number_costs_another_read(world: World, size: int, reads: int) -> None:
    world.make(people(*range(1000, 1000 + size)))
    world.run(people(*range(60)))
    assert world.sandbox.count("getcontacts") == reads
    assert len(world.stored()) == size + 60


# --- deletions: the cut lets others move up ---


@pytest.mark.parametrize(("cap", "size"), [(100, 300), (64, 80), (50, 55)])
def test_removals_find_out_that_others_move_up(world: World, cap: int, size: int) -> None:
    """Whoever is listed and beyond the cut is still there, so the run must not be green."""
    world.make(people(*range(size)))
    world.sandbox.fail("capped_read", limit=cap)
    ended = world.ends(people(0, size - 1), mode="remove")
    _window(world, ended.error, cap, 1)
    assert phone(size - 1) in world.ids()


@pytest.mark.parametrize("mode", ["upsert", "update"])
def test_a_suppression_finds_out_that_others_move_up(world: World, mode: str) -> None:
    world.make(people(*range(300)))
    world.sandbox.fail("capped_read", limit=100)
    ended = world.ends(people(*range(50)), mode=mode, suppress=[phone(3), phone(299)])
    _window(world, ended.error, 100, 1)


def test_a_mirror_finds_out_that_others_move_up(world: World) -> None:
    world.make(people(*range(300)))
    world.sandbox.fail("capped_read", limit=100)
    ended = world.ends(people(*range(95)), mode="mirror")
    _window(world, ended.error, 100, 5)
    assert world.sandbox.count("deletecontact") == 5


def _window(world: World, error: Exception | None, cap: int, deleted: int) -> None:
    assert isinstance(error, AfilnetLyingReadError), error
    assert not error.retryable
    assert f"showed {cap} contacts, {deleted} were deleted, and it shows {cap} again, {deleted} of them" in str(error)
    assert error.result is not None
    assert world.sandbox.count("getcontacts") <= 3, "there is nothing to wait for"


@pytest.mark.parametrize(("size", "by_hand"), [(100, 0), (100, 1), (100, 2), (100, 4), (99, 3), (102, 1), (64, 2)])
def test_deletions_while_somebody_adds_by_hand_are_not_confused(world: World, size: int, by_hand: int) -> None:
    """Unless the number is round and exactly the same again, which nobody can tell from a cut."""
    world.make(people(*range(size)))
    world.sandbox.fail("latency", methods="deletecontact", seconds=0.2, count=1)
    beside = world.when(
        "deletecontact", lambda: world.sandbox.add_contacts(world.group, people(*range(900, 900 + by_hand)))
    )
    result = world.run(people(0, 1, 2), mode="remove")
    beside.join()
    assert shown(result) == {"removed": 3, "deleted": 3}
    assert world.now() == bag(people(*range(3, size), *range(900, 900 + by_hand)))


def test_a_run_that_deletes_nobody_is_not_confused(world: World) -> None:
    """One goes and one comes by hand, so the number is round and the same; no deletion of this run made room."""
    world.make(people(*range(100)))
    gone = world.ids()[phone(50)]
    world.sandbox.fail("latency", methods="modifycontact", seconds=0.2, count=1)

    def by_hand() -> None:
        world.sandbox.remove_contacts(world.group, [gone])
        world.sandbox.add_contacts(world.group, people(900))

    beside = world.when("modifycontact", by_hand)
    assert shown(world.run([person(0, name="New")])) == {"updated": 1}
    beside.join()
    assert len(world.stored()) == 100


def test_additions_of_the_run_itself_are_no_strangers(world: World) -> None:
    """Three go and three come: a round number again, and all is well."""
    world.make(people(*range(100)))
    rows = [*people(*range(3, 100)), *people(200, 201, 202)]
    result = world.run(rows, mode="mirror")
    assert shown(result) == {"unchanged": 97, "added": 3, "deleted": 3}
    assert world.now() == bag(rows)


def test_replacements_of_the_run_itself_are_no_strangers(world: World) -> None:
    world.make(people(*range(100)))
    rows = [*people(*range(98)), person(98, name="a, b"), person(99, name="a, b")]
    assert shown(world.run(rows, unsafe_values="replace")) == {"unchanged": 98, "updated": 2}
    assert world.now() == bag(rows)
