"""An answer was lost: look, never repeat blindly. At the end everybody is there exactly once."""

from __future__ import annotations

from typing import Any

import pytest
from refresh_world import World, bag, people, person, phone, shown

from airflow_provider_afilnet.sandbox.dialect import Dialect

LOST: list[tuple[str, dict[str, Any], bool]] = [
    ("drop_after", {}, True),
    ("drop_before", {}, False),
    ("html", {"applied": True}, True),
    ("html", {"applied": False}, False),
    ("garbled", {"applied": True}, True),
    ("garbled", {"applied": False}, False),
    ("http_500", {"status": 500}, False),
    ("http_500", {"status": 503, "retry_after": 0.2}, False),
]


@pytest.mark.parametrize("bulk_dedupes", [True, False])
@pytest.mark.parametrize("method", ["addcontact", "addcontactlist"])
@pytest.mark.parametrize(("fault", "detail", "applied"), LOST)
def test_an_addition_of_unknown_outcome(
    world: World, fault: str, detail: dict[str, Any], applied: bool, method: str, bulk_dedupes: bool
) -> None:
    world.make(people(*range(10)))
    world.sandbox.dialect = Dialect(bulk_dedupes=bulk_dedupes)
    hit = world.sandbox.fail(fault, methods=method, count=1, **detail)
    result = world.run(people(*range(50)), batch_size=20)
    assert hit.hits == 1
    assert world.now() == bag(people(*range(50)))
    assert shown(result) == {"unchanged": 10, "added": 40}
    sent = world.sandbox.sent_rows(world.group)
    assert max(sent.values()) == (1 if applied else 2), "only what was looked for and not found goes again"


def test_it_goes_again_only_after_two_equal_reads_settle_apart(world: World) -> None:
    world.sandbox.fail("drop_before", methods="addcontactlist", count=1)
    world.run(people(*range(30)), settle=0.8)
    calls = world.sandbox.calls
    lost, again = (call.at for call in calls if call.method == "addcontactlist")
    reads = [call.at for call in calls if call.method == "getcontacts" and lost < call.at < again]
    assert len(reads) >= 2
    assert reads[-1] - reads[0] >= 0.75


def test_probes_without_an_answer_prove_nothing(world: World) -> None:
    world.sandbox.fail("drop_after", methods="addcontact")
    ended = world.ends(people(*range(30)))
    assert ended.error is not None
    assert ended.error.retryable
    assert world.sandbox.count("addcontact") == 9, "three in each round"
    assert world.sandbox.count("addcontactlist") == 0
    assert len(world.stored()) == 9


def test_unclear_calls_that_do_not_come_in_a_row_do_not_end_the_run(world: World) -> None:
    world.sandbox.fail("drop_before", methods="addcontactlist", every=2, count=12)
    world.run(people(*range(33)), batch_size=1, settings={"max_connections": 1})
    assert world.now() == bag(people(*range(33)))


def test_what_is_acknowledged_and_does_not_show_ends_the_additions(world: World) -> None:
    """The group cannot be trusted to show who else is there, so what is unclear does not go again either."""
    world.sandbox.fail("drop_after", methods="addcontactlist", count=1)
    world.sandbox.fail("hide", keys=[phone(n) for n in range(40)])
    ended = world.ends(people(*range(100)), batch_size=20)
    assert ended.error is not None
    assert not ended.error.retryable
    assert set(world.sandbox.sent_rows(world.group).values()) == {1}


@pytest.mark.parametrize("lost", [2, 3])
def test_three_rounds_and_no_more(world: World, lost: int) -> None:
    """What is lost in each of them is red and told; a retry may help."""
    world.sandbox.fail("drop_before", methods="addcontactlist", count=lost)
    ended = world.ends(people(*range(10)))
    assert ended.counts is not None
    assert ended.counts.rounds == 3
    assert world.sandbox.count("addcontactlist") == 3
    assert world.sandbox.count("addcontact") == 3, "the probes of the first round were enough"
    if lost < 3:
        assert ended.green
        assert world.now() == bag(people(*range(10)))
    else:
        assert ended.error is not None
        assert ended.error.retryable
        assert "not done after 3 rounds" in ended.message
        assert (ended.counts.added, ended.counts.failed) == (3, 7)
        assert len(world.stored()) == 3


@pytest.mark.parametrize("also_goes", [False, True])
def test_a_group_that_does_not_hold_still_is_looked_at_again(world: World, also_goes: bool) -> None:
    """Somebody is added by hand between the two reads, so they are not equal and prove nothing: nor if as many go."""
    import threading
    import time

    def add_by_hand() -> None:
        while world.sandbox.count("addcontactlist") < 1:
            time.sleep(0.005)
        time.sleep(0.4)
        world.sandbox.add_contacts(world.group, people(777))
        if also_goes:
            world.sandbox.remove_contacts(world.group, [old])

    old = world.sandbox.add_contacts(world.group, people(778))[0]
    world.sandbox.fail("drop_before", methods="addcontactlist", count=1)
    hand = threading.Thread(target=add_by_hand, daemon=True)
    hand.start()
    world.run(people(*range(30)), settle=0.8)
    hand.join()
    assert world.now() == bag(people(*range(30), 777, *(() if also_goes else (778,))))
    calls = world.sandbox.calls
    lost, again = (call.at for call in calls if call.method == "addcontactlist")
    assert again - lost > 1.5, "two times settle"


def test_a_group_that_never_holds_still_is_for_a_retry(world: World) -> None:
    """The reads prove nothing, so what is unclear does not go again in this run."""
    import threading

    ended = threading.Event()

    def add_by_hand() -> None:
        number = 1000
        while not ended.wait(0.03):
            world.sandbox.add_contacts(world.group, people(number := number + 1))

    world.sandbox.fail("drop_before", methods="addcontactlist", count=1)
    hand = threading.Thread(target=add_by_hand, daemon=True)
    hand.start()
    red = world.ends(people(*range(30)))
    ended.set()
    hand.join()
    assert red.error is not None
    assert red.error.retryable
    assert "did not hold still" in red.message
    assert set(world.sandbox.sent_rows(world.group).values()) == {1}


def test_where_bulk_is_known_to_skip_it_goes_again_at_once(world: World) -> None:
    world.sandbox.dialect = Dialect(bulk_dedupes=True)
    world.sandbox.fail("drop_before", methods="addcontactlist", count=1)
    import time

    start = time.monotonic()
    world.run(people(*range(30)), settle=5, settings={"facts": {"bulk_dedupes": True}})
    assert time.monotonic() - start < 3
    assert world.now() == bag(people(*range(30)))


@pytest.mark.parametrize("fault", ["drop_after", "drop_before"])
def test_a_half_of_unknown_outcome_is_not_sent_again_before_a_look(world: World, fault: str) -> None:
    """The batch is refused for its row 21, and the first part without that row gets no answer."""
    world.sandbox.fail("refuse_row", keys=[phone(20)])
    hit = world.sandbox.fail(fault, methods="addcontactlist", count=1)
    ended = world.ends(people(*range(43)))
    assert hit.hits == 1
    assert "1 contacts" in ended.message
    assert "INCORRECT_CONTACTS" in ended.message
    assert world.now() == bag(people(*(n for n in range(43) if n != 20)))
    sent = world.sandbox.sent_rows(world.group)[phone(1)]
    assert sent == (3 if fault == "drop_after" else 4), "in the whole, a half, a quarter, and again only if it was lost"


@pytest.mark.parametrize("bulk_dedupes", [True, False])
@pytest.mark.parametrize("seconds", [0.9, 1.6])
def test_a_write_that_is_applied_after_the_client_gave_up(world: World, seconds: float, bulk_dedupes: bool) -> None:
    """The group lacks it when it is looked for, it is sent again, and then the first one lands too."""
    world.make(people(*range(10)))
    world.sandbox.dialect = Dialect(bulk_dedupes=bulk_dedupes)
    world.sandbox.fail("late", methods="addcontactlist", count=1, seconds=seconds)
    # The second sending is slow, so that the late one is there when its result is read.
    world.sandbox.fail("latency", methods="addcontactlist", after=1, seconds=0.35)
    result = world.run(people(*range(40)), settings={"timeout": 0.4}, max_deletes=100)
    import time

    time.sleep(0.1)
    if result.deleted_duplicates or seconds < 1:
        assert world.now() == bag(people(*range(40)))
    assert result.added == 30
    # Whatever came after the last read, the next run of a mirror makes it right.
    time.sleep(max(0.0, seconds - 0.4))
    world.run(people(*range(40)), mode="mirror", max_deletes=100)
    assert world.now() == bag(people(*range(40)))


@pytest.mark.parametrize("mode", ["insert", "upsert", "mirror"])
def test_extra_copies_that_this_run_made_go_in_every_mode(world: World, mode: str) -> None:
    """The late write lands while the second one is under way; the lowest id survives."""
    world.make(people(*range(10)))
    world.sandbox.fail("late", methods="addcontactlist", count=1, seconds=1.2)
    world.sandbox.fail("late", methods="addcontactlist", count=1, seconds=0.6)
    result = world.run(people(*range(18)), mode=mode, settings={"timeout": 0.5}, settle=0.3)
    assert world.now() == bag(people(*range(18)))
    assert result.failed == 0


def test_extra_copies_are_removed_and_the_lowest_id_survives(world: World) -> None:
    """A server that stores the list twice, as one that answers late and is asked by a proxy again."""
    world.make(people(*range(10)))
    world.sandbox.fail("latency", methods="addcontactlist", seconds=0.5)
    # It comes after the first read and before the last: not this run's doing for the eye of the engine, but its keys.
    early: list[str] = []
    first = people(20, 21, 22, 24, 25, name="Early")  # 23 is a probe
    world.when("addcontactlist", lambda: early.extend(world.sandbox.add_contacts(world.group, first)))
    result = world.run(people(*range(30)), mode="upsert")
    assert world.now() == bag(people(*range(30)))
    assert len(early) == 5
    assert set(early) <= set(world.ids().values())
    assert result.deleted_duplicates == 5
    assert result.added == 20


def test_extra_copies_count_for_max_deletes(world: World) -> None:
    world.make(people(*range(10)))
    world.sandbox.fail("latency", methods="addcontactlist", seconds=0.5)
    world.when("addcontactlist", lambda: world.sandbox.add_contacts(world.group, people(*range(12, 30))))
    ended = world.ends(people(*range(30)), mode="upsert")
    assert ended.message.startswith("Nothing more was written: 18 contacts of 10 would be deleted (18 extra) and")
    assert world.sandbox.count("deletecontact") == 0


@pytest.mark.parametrize("method", ["modifycontact", "deletecontact"])
@pytest.mark.parametrize(("fault", "detail", "applied"), LOST)
def test_updates_and_deletions_are_repeated_in_place(
    world: World, method: str, fault: str, detail: dict[str, Any], applied: bool
) -> None:
    world.make(people(*range(20)))
    hit = world.sandbox.fail(fault, methods=method, count=2, **detail)
    rows = [*people(*range(5)), *people(*range(5, 14), name="New")]
    result = world.run(rows, mode="mirror")
    assert hit.hits == 2
    assert world.now() == bag(rows)
    assert shown(result) == {"unchanged": 5, "updated": 9, "deleted": 6}
    assert result.rounds == 1


@pytest.mark.parametrize("applied", [True, False])
def test_a_deletion_that_stays_unclear_is_settled_by_the_next_read(world: World, applied: bool) -> None:
    """That somebody is missing who may have been deleted is no sign of a lying read."""
    world.make(people(*range(4)))
    world.sandbox.fail("drop_after" if applied else "drop_before", methods="deletecontact", count=1)
    world.sandbox.fail("http_500", methods="deletecontact", count=5, retry_after=0)
    result = world.run(people(*range(3)), mode="mirror")
    assert world.now() == bag(people(*range(3)))
    assert shown(result) == {"unchanged": 3, "deleted": 1}
    assert result.rounds == (1 if applied else 2)


@pytest.mark.parametrize(("fault", "detail", "applied"), LOST)
def test_a_replacement_whose_addition_is_lost_is_brought_back_whole(
    world: World, fault: str, detail: dict[str, Any], applied: bool
) -> None:
    """Also the stored values of fields that the source does not have, and in a mode that adds nobody."""
    columns = ("mobile", "name", "city", "note")
    world.make([person(n) | {"note": f"by hand {n}"} for n in range(10)], columns=columns)
    hit = world.sandbox.fail(fault, methods="addcontactlist", count=1, **detail)
    rows = [{"mobile": phone(3), "name": "a, b"}]
    from refresh_world import table

    result = world.run(table(rows, ("mobile", "name")), mode="update", unsafe_values="replace")
    assert hit.hits == 1
    want = [person(n) | {"note": f"by hand {n}"} for n in range(10)]
    want[3]["name"] = "a, b"
    assert world.now() == bag(want)
    assert shown(result) == {"updated": 1}


def test_a_replacement_that_is_lost_twice_is_brought_back_whole(world: World) -> None:
    columns = ("mobile", "name", "note")
    world.make([{"mobile": phone(n), "name": "N", "note": f"by hand {n}"} for n in range(10)], columns=columns)
    world.sandbox.fail("drop_before", methods=["addcontactlist"], count=2)
    world.sandbox.fail("drop_before", methods=["addcontact"], count=1)
    from refresh_world import table

    rows = table([{"mobile": phone(3), "name": "a, b"}], ("mobile", "name"))
    world.run(rows, mode="upsert", unsafe_values="replace")
    want = [{"mobile": phone(n), "name": "N", "note": f"by hand {n}"} for n in range(10)]
    want[3]["name"] = "a, b"
    assert world.now() == bag(want)


def test_a_replacement_that_is_lost_for_good_is_red_in_update_mode(world: World) -> None:
    """It must never count as a row that the mode leaves alone."""
    world.make(people(*range(10)))
    world.sandbox.fail("lose_row", keys=[phone(3)])
    ended = world.ends([person(3, name="a, b")], mode="update", unsafe_values="replace")
    assert "row 1" in ended.message
    assert ended.counts is not None
    assert ended.counts.failed == 1


def test_a_replacement_whose_readdition_is_lost_silently_is_red(world: World) -> None:
    """Unknown first, then acknowledged and not stored: last of all an addition, but still a replacement."""
    world.make(people(*range(10)))
    world.sandbox.fail("drop_before", methods="addcontactlist", count=1)
    world.sandbox.fail("lose_row", keys=[phone(3)])
    ended = world.ends([person(3, name="a, b")], mode="update", unsafe_values="replace")
    assert not ended.green
    assert ended.counts is not None
    assert ended.counts.failed == 1
