"""A read may lie: capped, null, absent, stale, with people hidden, shrinking. Then nothing goes in bulk: red."""

from __future__ import annotations

from typing import Any

import pytest
from refresh_world import SETTLE, Ended, World, bag, people, person, phone, shown

from airflow_provider_afilnet.refresh.errors import AfilnetGuardrailError, AfilnetLyingReadError
from airflow_provider_afilnet.sandbox.dialect import Dialect

UNSAFE = "cannot: travel, as text"


def lied_to(world: World, ended: Ended) -> str:
    """Red for good, and nothing went in bulk."""
    assert isinstance(ended.error, AfilnetLyingReadError | AfilnetGuardrailError), ended
    assert not ended.error.retryable
    assert world.sandbox.count("addcontactlist") == 0
    return ended.message


def no_doubles(world: World) -> None:
    keys = [contact["mobile"] for contact in world.stored()]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("bulk_dedupes", [True, False])
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(
    ("fault", "detail"),
    [
        ("capped_read", {"limit": 100}),
        ("capped_read", {"limit": 37}),
        ("capped_read", {"limit": 0}),
        ("null_read", {}),
        ("absent_read", {}),
        ("hide", {"keys": [phone(n) for n in range(60, 160)]}),
    ],
)
def test_the_probe_finds_out(world: World, fault: str, detail: dict[str, Any], bulk_dedupes: bool, known: bool) -> None:
    world.make(people(*range(160)))
    world.sandbox.dialect = Dialect(bulk_dedupes=bulk_dedupes)
    world.sandbox.fail(fault, **detail)
    facts = {"bulk_dedupes": bulk_dedupes} if known else {}
    message = lied_to(world, world.ends(people(*range(160)), settings={"facts": facts}))
    assert "CONTACT_EXISTS" in message
    assert world.now() == bag(people(*range(160)))
    assert world.sandbox.writes <= 3
    # And after it has healed, the same task is green and has nothing to do.
    world.sandbox.clear_faults()
    world.quiet(people(*range(160)))


@pytest.mark.parametrize("position", [0, 1, 2])
def test_the_probes_are_spread_over_the_plan(world: World, position: int) -> None:
    """Whichever third of the additions is there already, one of the three probes meets it."""
    hidden = range(position * 100, position * 100 + 100)
    world.make(people(*hidden))
    world.sandbox.fail("hide", keys=[phone(n) for n in hidden])
    lied_to(world, world.ends(people(*range(300))))
    assert len(world.stored()) <= 102
    no_doubles(world)


@pytest.mark.parametrize("fault", ["null_read", "absent_read"])
def test_null_is_no_proof_of_an_empty_group(world: World, fault: str) -> None:
    """All contacts are new, so the probes are added; they must show before anything goes in bulk."""
    world.make(people(*range(50)))
    world.sandbox.fail(fault)
    message = lied_to(world, world.ends(people(*range(100, 200))))
    assert "null" in message
    no_doubles(world)


@pytest.mark.parametrize("how", [{"mode": "update"}, {"mode": "remove"}, {"dry_run": True}, {"allow_empty": True}])
def test_null_stops_a_run_that_adds_nobody(world: World, how: dict[str, Any]) -> None:
    world.make(people(*range(5)))
    world.sandbox.fail("null_read")
    rows = [] if "allow_empty" in how else people(*range(5))
    message = world.refused(rows, **how)
    assert "no proof of an empty group" in message
    assert "add one contact" in message


@pytest.mark.parametrize("shape", ["null_read", "absent_read"])
def test_a_group_that_is_empty_and_answers_null_is_filled(world: World, shape: str) -> None:
    """The only null that is true: it ends once somebody is in the group."""
    world.sandbox.fail(shape, count=1)
    world.run(people(*range(30)))
    assert world.now() == bag(people(*range(30)))


def test_a_round_number_of_contacts_must_first_show_the_probes(world: World) -> None:
    """Capped at 200 of 300, and everybody to add is new: the probes are added, and do not show."""
    world.make(people(*range(300)))
    world.sandbox.fail("capped_read", limit=200)
    message = lied_to(world, world.ends(people(*range(1000, 1050))))
    assert "added one by one" in message
    assert world.sandbox.count("addcontact") == 3
    assert len(world.stored()) == 303


def test_a_true_round_number_is_believed(world: World) -> None:
    world.make(people(*range(200)))
    result = world.run(people(*range(190, 250)))
    assert world.now() == bag(people(*range(250)))
    assert shown(result) == {"added": 50, "unchanged": 10}


def test_where_no_probe_can_travel_one_goes_alone_and_must_show(world: World) -> None:
    world.make([person(n, name=UNSAFE) for n in range(50)])
    world.sandbox.fail("capped_read", limit=20)
    ended = world.ends([person(n, name=UNSAFE) for n in range(50)])
    assert isinstance(ended.error, AfilnetLyingReadError)
    rows = [int(call.params["rows"]) for call in world.sandbox.calls if call.method == "addcontactlist"]
    assert rows == [1], "only one, which could not be asked for"


@pytest.mark.parametrize("fault", ["drop_before", "drop_after", "html"])
def test_a_lonely_probe_of_unknown_outcome_proves_nothing(world: World, fault: str) -> None:
    """Whatever became of it, the rest must not follow it into a group that cannot be seen."""
    world.make([person(n, name=UNSAFE) for n in range(50)])
    world.sandbox.fail("capped_read", limit=20)
    world.sandbox.fail(fault, methods="addcontactlist", count=1)
    ended = world.ends([person(n, name=UNSAFE) for n in range(50)])
    assert not ended.green
    rows = [int(call.params["rows"]) for call in world.sandbox.calls if call.method == "addcontactlist"]
    assert set(rows) == {1}


def test_a_plan_without_a_safe_row_is_carried_out(world: World) -> None:
    rows = [person(n, name=UNSAFE) for n in range(50)]
    world.run(rows)
    assert world.now() == bag(rows)
    sizes = [int(call.params["rows"]) for call in world.sandbox.calls if call.method == "addcontactlist"]
    assert sizes == [1, 49]


@pytest.mark.parametrize("mode", ["upsert", "insert", "mirror"])
def test_a_stale_read_that_heals_within_settle(world: World, mode: str) -> None:
    """The first read misses half of the group, the probes notice, and the next read shows everything."""
    world.make(people(*range(50)))
    world.sandbox.fail("hide", keys=[phone(n) for n in range(20, 50)], count=1)
    result = world.run(people(*range(60)), mode=mode)
    assert world.now() == bag(people(*range(60)))
    there = "skipped" if mode == "insert" else "unchanged"
    assert shown(result) == {"added": 10, there: 50}
    assert world.sandbox.sent_rows(world.group)[phone(59)] == 1


def test_a_stale_read_that_heals_after_some_probes_were_added(world: World) -> None:
    """One probe is new and added, others exist: what was added must not be expected twice."""
    world.make(people(*range(20, 60)))
    world.sandbox.fail("hide", keys=[phone(n) for n in range(20, 60)], count=1)
    result = world.run(people(*range(90)))
    assert shown(result) == {"added": 50, "unchanged": 40}
    assert world.now() == bag(people(*range(90)))


def test_a_mirror_does_not_delete_whom_the_first_read_did_not_show(world: World) -> None:
    world.make(people(*range(40)))
    world.sandbox.fail("hide", keys=[phone(n) for n in range(20, 40)], count=1)
    rows = people(*range(30))
    ended = world.ends(rows, mode="mirror", max_deletes=1.0)
    assert world.now() == bag(people(*range(40)))
    assert "it appeared during the run; the next run deletes it" in ended.message
    assert ended.error is not None
    assert ended.error.retryable
    world.run(rows, mode="mirror", max_deletes=1.0)
    assert world.now() == bag(rows)


def test_old_doubles_that_a_stale_read_hid_are_not_taken_for_ours(world: World) -> None:
    """Nobody of them was sent by this run: the probe was refused."""
    before = [*people(*range(20)), *people(*range(15, 20))]
    world.make(before)
    world.sandbox.fail("hide", keys=[phone(n) for n in range(15, 20)], count=1)
    world.run(people(*range(20)))
    assert world.now() == bag(before)


@pytest.mark.parametrize("mode", ["upsert", "mirror", "insert", "update"])
def test_a_read_that_shrinks_stops_the_run(world: World, mode: str) -> None:
    """After the first writes the answer is cut off; whoever it lacks must not be added a second time."""
    world.make(people(*range(60)))
    world.sandbox.fail("capped_read", limit=40, after=1)
    rows = [*people(*range(60), *range(100, 110))] if mode == "insert" else people(*range(60), name="New")
    ended = world.ends([*rows, person(200)], mode=mode)
    assert isinstance(ended.error, AfilnetLyingReadError), ended
    assert "lacks at least" in ended.message or "does not show" in ended.message
    assert max(world.sandbox.sent_rows(world.group).values(), default=0) <= 1
    assert not set(world.sandbox.sent_rows(world.group)) & {phone(n) for n in range(60)}
    no_doubles(world)


@pytest.mark.parametrize("mode", ["remove", "mirror"])
def test_a_read_that_shrinks_is_noticed_by_its_number_alone(world: World, mode: str) -> None:
    """Nobody of those that it lacks is a row of the source."""
    world.make(people(*range(60)))
    world.sandbox.fail("capped_read", limit=40, after=1)
    world.sandbox.fail("error", methods="deletecontact", code="SOME_REASON", after=2)
    rows = people(*range(5)) if mode == "remove" else people(*range(35))
    ended = world.ends(rows, mode=mode, max_deletes=1.0)
    assert isinstance(ended.error, AfilnetLyingReadError), ended


def test_a_read_that_lacks_others_each_time_stops_the_run(world: World) -> None:
    """Whom a probe met shows in the next read, which lacks somebody else."""
    world.make(people(*range(10)))
    for read in range(6):
        world.sandbox.fail("hide", keys=[phone(read)], after=read, count=1)
    ended = world.ends(people(*range(10)))
    assert isinstance(ended.error, AfilnetLyingReadError), ended
    assert "keeps answering that planned contacts exist" in ended.message
    assert world.sandbox.count("addcontactlist") == 0
    no_doubles(world)


def test_as_many_as_were_added_must_show_more(world: World) -> None:
    """Nobody of those that it lacks is a row of the source, and no fewer show than before."""
    world.make(people(*range(30)))
    world.sandbox.fail("hide", keys=[phone(n) for n in range(4)], after=1)
    ended = world.ends(people(*range(100, 104)))
    assert isinstance(ended.error, AfilnetLyingReadError), ended
    assert "lacks at least 4" in ended.message


def test_a_read_that_shrinks_while_additions_come_late_stops_the_run(world: World) -> None:
    """The number alone looks right: as many came late as were cut off."""
    world.make(people(*range(60)))
    world.sandbox.fail("drop_after", methods="addcontactlist", count=1)
    world.sandbox.fail("hide", keys=[phone(n) for n in range(10)], after=1)
    ended = world.ends(people(*range(60), *range(100, 150)))
    assert isinstance(ended.error, AfilnetLyingReadError), ended
    assert not set(world.sandbox.sent_rows(world.group)) & {phone(n) for n in range(60)}
    no_doubles(world)


@pytest.mark.parametrize("fault", ["capped_read", "null_read"])
def test_a_second_look_at_an_unknown_outcome_is_not_believed_blindly(world: World, fault: str) -> None:
    """The look that is to settle what is unknown lies itself: nobody who was there may be added again."""
    world.make(people(*range(60)))
    world.sandbox.fail("drop_before", methods="addcontactlist", count=1)
    world.sandbox.fail(fault, after=2, **({"limit": 30} if fault == "capped_read" else {}))
    ended = world.ends(people(*range(60), *range(100, 150)))
    assert isinstance(ended.error, AfilnetLyingReadError), ended
    assert ("lacks at least 3" if fault == "capped_read" else "now answers null") in ended.message
    assert not set(world.sandbox.sent_rows(world.group)) & {phone(n) for n in range(60)}
    no_doubles(world)


@pytest.mark.parametrize("fault", ["null_read", "absent_read"])
def test_null_after_writing_stops_the_run(world: World, fault: str) -> None:
    world.make(people(*range(20)))
    world.sandbox.fail(fault, after=1)
    ended = world.ends(people(*range(20), name="New"))
    assert isinstance(ended.error, AfilnetLyingReadError)
    assert "still answers null" in ended.message
    assert world.sandbox.count("addcontact", "addcontactlist") == 0


def test_a_late_read_is_waited_for(world: World) -> None:
    """The group shows what was written only after a while, within settle."""
    world.make(people(*range(20)))
    world.sandbox.fail("stale_read", seconds=0.6)
    import time

    time.sleep(0.7)
    result = world.run(people(*range(5, 40), name="New"), mode="mirror", settle=3)
    assert world.now() == bag(people(*range(5, 40), name="New"))
    assert shown(result) == {"added": 20, "updated": 15, "deleted": 5}
    assert set(world.sandbox.sent_rows(world.group).values()) == {1}
    assert world.sandbox.count("modifycontact", "deletecontact") == 20


@pytest.mark.parametrize(
    ("fault", "detail"), [("capped_read", {"limit": 10}), ("hide", {"keys": [phone(9)]}), ("null_read", {})]
)
def test_a_read_that_lacks_others_for_a_moment_is_waited_for(world: World, fault: str, detail: dict[str, Any]) -> None:
    """Nobody of them is a row of the source."""
    world.make(people(*range(30)))
    world.sandbox.fail(fault, after=1, count=1, **detail)
    result = world.run(people(1), mode="remove")
    assert shown(result) == {"removed": 1, "deleted": 1}
    assert world.sandbox.count("getcontacts") == 3


def test_an_empty_group_is_waited_for_that_answers_null_for_a_moment(world: World) -> None:
    world.make(people(1, 2))
    world.sandbox.fail("null_read", after=1, count=1)
    assert world.run(people(1, 2), mode="remove").removed == 2
    assert world.sandbox.count("getcontacts") == 3


def test_a_read_that_stays_late_is_red(world: World) -> None:
    world.make(people(*range(20)))
    world.sandbox.fail("stale_read")
    ended = world.ends(people(*range(40), name="New"), settle=SETTLE)
    assert not ended.green
    assert ended.error is not None
    assert not ended.error.retryable
    assert set(world.sandbox.sent_rows(world.group).values()) == {1}
    no_doubles(world)


def test_an_acknowledged_addition_is_never_sent_again(world: World) -> None:
    world.make(people(*range(20)))
    world.sandbox.fail("lose_row", keys=[phone(n) for n in (25, 30, 31)])
    ended = world.ends(people(*range(40)))
    assert "3 contacts" in ended.message
    assert "row 26" in ended.message
    assert "its addition was acknowledged, but the group does not show it" in ended.message
    assert ended.error is not None
    assert not ended.error.retryable
    assert ended.counts is not None
    assert (ended.counts.failed, ended.counts.added) == (3, 17)
    assert set(world.sandbox.sent_rows(world.group).values()) == {1}
    assert world.now() == bag(people(*(n for n in range(40) if n not in (25, 30, 31))))


@pytest.mark.parametrize("mode", ["mirror", "remove"])
def test_an_acknowledged_deletion_is_never_sent_again(world: World, mode: str) -> None:
    world.make(people(*range(20)))
    world.sandbox.fail("stale_read", after=1)
    ended = world.ends(people(*range(17)) if mode == "mirror" else people(17, 18, 19), mode=mode)
    assert ended.error is not None
    assert not ended.error.retryable
    assert "its deletion was acknowledged, but the group still shows it" in ended.message
    assert world.sandbox.count("deletecontact") == 3
    assert world.now() == bag(people(*range(17)))


def test_what_appears_during_the_run_is_not_deleted_by_it(world: World) -> None:
    """Somebody adds a contact by hand between the first read and the last one."""
    world.make(people(*range(20)))
    world.sandbox.fail("latency", methods="modifycontact", seconds=0.4, count=1)
    world.when("modifycontact", lambda: world.sandbox.add_contacts(world.group, people(777)))
    rows = [person(0, name="New"), *people(*range(1, 20))]
    ended = world.ends(rows, mode="mirror")
    assert "it appeared during the run; the next run deletes it" in ended.message
    assert ended.error is not None
    assert ended.error.retryable
    assert world.now() == bag([*rows, person(777)])
    assert world.sandbox.count("deletecontact") == 0
    world.run(rows, mode="mirror")
    assert world.now() == bag(rows)


@pytest.mark.parametrize("code", ["NOT_ACCESS_TO_GROUP", "NOT_ACCESS_TO_CONTACT", "CONTACT_NOT_EXISTS"])
@pytest.mark.parametrize("mode", ["upsert", "update"])
def test_a_contact_that_goes_during_the_run_is_a_case_and_no_end(world: World, mode: str, code: str) -> None:
    """Deleted by hand after the first read: an upsert adds it anew."""
    world.make(people(*range(20)))
    world.sandbox.dialect = Dialect(missing_contact_code=code)
    gone = world.ids()[phone(3)]
    world.sandbox.fail("latency", methods="getcontact", seconds=0.5)
    world.when("getcontact", lambda: world.sandbox.remove_contacts(world.group, [gone]))
    rows = people(*range(20), name="New")
    result = world.run(rows, mode=mode)
    # Once for the id check, and once more after a code that is not known.
    assert world.sandbox.count("getcontact") == (2 if code == "CONTACT_NOT_EXISTS" else 1)
    assert world.now() == bag(rows if mode == "upsert" else [row for row in rows if row["mobile"] != phone(3)])
    assert result.failed == 0


def test_insert_leaves_alone_whom_it_added_again_because_a_read_lied(world: World) -> None:
    """The hidden contact is no probe, as no text can carry its row, so it goes in bulk; its copy goes again."""
    world.make(people(*range(10)))
    world.sandbox.fail("hide", keys=[phone(3)], count=1)
    result = world.run([*people(0, 1, 2), person(3, name=UNSAFE), *people(*range(20, 40))], mode="insert")
    assert world.now() == bag(people(*range(10), *range(20, 40)))
    assert shown(result) == {"added": 20, "skipped": 4, "deleted_duplicates": 1}


def test_insert_leaves_alone_whom_a_null_answer_hid(world: World) -> None:
    """The probes are new, and show next to people whom the first answer did not show."""
    world.make(people(*range(10)))
    world.sandbox.fail("null_read", count=1)
    world.run([*people(*range(20, 40)), *people(*range(5, 10), name=UNSAFE)], mode="insert")
    assert world.now() == bag(people(*range(10), *range(20, 40)))
