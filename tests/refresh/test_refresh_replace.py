"""A contact that is deleted to be written anew is never lost unnoticed: it comes back whole, or the run says so."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from refresh_world import World, bag, people, person, phone, shown, table

from airflow_provider_afilnet.api.errors import AfilnetError
from airflow_provider_afilnet.api.masking import mask_key
from airflow_provider_afilnet.refresh.errors import (
    AfilnetIncompleteError,
    AfilnetLyingReadError,
    AfilnetReportError,
)
from airflow_provider_afilnet.refresh.rows import TableRows
from airflow_provider_afilnet.sandbox.dialect import Dialect

UNSAFE = "cannot: travel, as text"
AGAIN: dict[str, Any] = {"unsafe_values": "replace"}


def _rows(value: str = UNSAFE) -> TableRows:
    """The source does not give the city."""
    return table([{"mobile": phone(1), "name": value}, {"mobile": phone(2), "name": "Name 2"}], ("mobile", "name"))


def _journal(folder: Path) -> list[str]:
    lines = map(json.loads, (folder / "journal.jsonl").read_text().splitlines())
    return [line["outcome"] for line in lines if line["operation"] == "replace"]


def _away(error: AfilnetError | None, folder: Path | None) -> None:
    """No retry, since it would not know that somebody has to come back whole; who it is, and where the rest stands."""
    assert isinstance(error, AfilnetIncompleteError)
    assert not error.retryable
    message = str(error)
    assert f"row 1 ({mask_key(phone(1))})" in message
    assert phone(1) not in message
    assert (f"backup.jsonl of {folder}" if folder else "without a report_path") in message
    assert error.result is not None
    assert error.result.failed == 1
    if folder:
        assert _journal(folder)[0] == "deleted"
        backup = [json.loads(line) for line in (folder / "backup.jsonl").read_text().splitlines()]
        assert backup == [person(1)]
        report = json.loads((folder / "report.json").read_text())
        assert report["result"]["failed"] == 1
        assert "may not be back" in report["error"]


@pytest.mark.parametrize("with_report", [True, False])
@pytest.mark.parametrize(
    ("fault", "detail", "says"),
    [
        ("rate_limited", {"retry_after": 3600}, "429"),
        ("error", {"code": "INCORRECT_USER_PASSWORD"}, "INCORRECT_USER_PASSWORD"),
        ("redirect", {"location": "http://elsewhere.example"}, "307"),
    ],
)
def test_an_error_between_deletion_and_addition_is_for_good(
    world: World, tmp_path: Path, fault: str, detail: dict[str, Any], says: str, with_report: bool
) -> None:
    world.make(people(1, 2))
    world.sandbox.fail(fault, methods="addcontactlist", **detail)
    ended = world.ends(_rows(), report=tmp_path if with_report else None, **AGAIN)
    _away(ended.error, tmp_path if with_report else None)
    assert says in ended.message.partition("It ended so because")[2]
    assert world.now() == bag(people(2))


def test_the_journal_knows_of_the_deletion_while_the_addition_is_under_way(world: World, tmp_path: Path) -> None:
    """A worker that is killed now leaves nothing else that could say so."""
    world.make(people(1, 2))
    world.sandbox.fail("latency", methods="addcontactlist", seconds=0.4)
    seen: list[list[str]] = []
    look = world.when("addcontactlist", lambda: seen.append(_journal(tmp_path)))
    world.run(_rows(), report=tmp_path, **AGAIN)
    look.join()
    assert seen == [["deleted"]]
    assert _journal(tmp_path) == ["deleted", "acked"]


def test_nobody_stays_away_because_the_deletion_could_not_be_noted(world: World, tmp_path: Path) -> None:
    """The journal is on a full disk: the run ends with it, but not between a deletion and its addition."""
    world.make(people(1, 2))
    (tmp_path / "journal.jsonl").symlink_to("/dev/full")
    ended = world.ends(_rows(), report=tmp_path, **AGAIN)
    assert isinstance(ended.error, AfilnetReportError)
    assert ended.error.retryable
    assert "may not be back" not in ended.message
    assert [call.method for call in world.sandbox.calls][-2:] == ["deletecontact", "addcontactlist"]
    assert world.now() == bag([person(1, name=UNSAFE), person(2)])


def test_a_stop_that_cuts_the_addition_off_is_for_good(world: World, tmp_path: Path) -> None:
    world.make(people(1, 2))
    world.sandbox.fail("latency", methods="addcontactlist", seconds=60)
    refresh = world.refresh({"timeout": 100}, tmp_path, **AGAIN)
    threading.Thread(target=lambda: (world.wait_for("addcontactlist"), refresh.stop()), daemon=True).start()
    with pytest.raises(AfilnetError, match="cut off while it stopped") as caught:
        refresh.run(_rows())
    _away(caught.value, tmp_path)


class TimeIsUp(BaseException):
    """As the time-out of a task, which is no ``Exception``."""


@contextmanager
def _time_is_up_while_added(world: World) -> Iterator[None]:
    def up(*_: object) -> None:
        raise TimeIsUp

    before = signal.signal(signal.SIGALRM, up)
    world.when("addcontactlist", lambda: signal.setitimer(signal.ITIMER_REAL, 0.01))
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_time_out_that_cuts_the_addition_off_is_for_good(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Airflow would let a time-out be retried, and the retry would not know whom it has to bring back."""
    world.make(people(1, 2))
    world.sandbox.fail("latency", methods="addcontactlist", seconds=60)
    with (
        _time_is_up_while_added(world),
        pytest.raises(AfilnetIncompleteError, match=r"may not be back: row 1 .* because: TimeIsUp") as caught,
    ):
        world.refresh({"timeout": 100}, **AGAIN).run(_rows())
    assert not caught.value.retryable
    assert isinstance(caught.value.__cause__, TimeIsUp)
    assert f"row 1 ({mask_key(phone(1))}) was deleted to be replaced and may not be back" in caplog.text
    assert phone(1) not in caplog.text


def test_a_time_out_lets_who_is_away_come_back(world: World) -> None:
    """The call that is under way ends before the time-out is handed on, so nobody needs to be named."""
    world.make(people(1, 2))
    world.sandbox.fail("latency", methods="addcontactlist", seconds=0.6)
    with _time_is_up_while_added(world), pytest.raises(TimeIsUp):
        world.refresh({"timeout": 100}, **AGAIN).run(_rows())
    assert world.now() == bag([person(1, name=UNSAFE), person(2)])


def test_others_of_the_same_run_are_no_concern(world: World) -> None:
    """Who was brought back before the error is not named."""
    world.make(people(1, 2, 3))
    world.sandbox.fail("error", methods="addcontactlist", code="INCORRECT_USER_PASSWORD", after=1)
    rows = [person(n, name=UNSAFE) for n in (1, 2, 3)]
    ended = world.ends(rows, settings={"max_connections": 1}, **AGAIN)
    assert ended.message.startswith("1 contacts were deleted to be replaced")
    assert f"row 2 ({mask_key(phone(2))})" in ended.message
    assert world.now() == bag([rows[0], person(3)])


@pytest.mark.parametrize("mode", ["upsert", "update", "mirror"])
def test_a_refused_addition_puts_the_old_contact_back(world: World, tmp_path: Path, mode: str) -> None:
    """Whole, with what the source does not give; and what was refused is not tried again."""
    world.make(people(1, 2))
    world.sandbox.fail("refuse_row", keys=[phone(1)], count=1)
    ended = world.ends(_rows(), mode=mode, report=tmp_path, **AGAIN)
    assert "row 1" in ended.message
    assert "refused with INCORRECT_CONTACTS, so it was put back as it was" in ended.message
    assert ended.error is not None
    assert not ended.error.retryable
    assert ended.counts is not None
    assert shown(ended.counts) == {"unchanged": 1, "failed": 1}
    assert world.now() == bag(people(1, 2))
    assert world.sandbox.count("deletecontact") == 1
    assert world.sandbox.sent_rows(world.group) == {phone(1): 2}
    assert _journal(tmp_path) == ["deleted", "restored"]


@pytest.mark.parametrize("mode", ["upsert", "update", "mirror"])
def test_where_putting_back_is_refused_too_the_run_says_so(world: World, tmp_path: Path, mode: str) -> None:
    world.make(people(1, 2))
    world.sandbox.fail("refuse_row", keys=[phone(1)])
    ended = world.ends(_rows(), mode=mode, report=tmp_path, **AGAIN)
    _away(ended.error, tmp_path)
    assert "refused with INCORRECT_CONTACTS, and putting it back was refused with INCORRECT_CONTACTS" in ended.message
    assert world.sandbox.sent_rows(world.group) == {phone(1): 2}
    assert _journal(tmp_path) == ["deleted", "deleted"]


@pytest.mark.parametrize("mode", ["upsert", "update"])
def test_a_contact_that_is_back_although_the_answer_was_lost_is_not_replaced_again(world: World, mode: str) -> None:
    """What was refused is not tried a second time, however it is known that the old contact is there again."""
    world.make(people(1, 2))
    world.sandbox.fail("refuse_row", keys=[phone(1)], first=1)
    world.sandbox.fail("drop_after", methods="addcontactlist", count=1)
    ended = world.ends(_rows(), mode=mode, **AGAIN)
    assert world.now() == bag(people(1, 2))
    assert world.sandbox.count("deletecontact") == 1
    assert "refused with INCORRECT_CONTACTS" in ended.message


@pytest.mark.parametrize("mode", ["upsert", "update", "mirror"])
def test_an_acknowledged_addition_that_does_not_show_is_told_as_a_replacement(
    world: World, tmp_path: Path, mode: str
) -> None:
    """Who was there before is away, so it must be said where the rest of the contact stands."""
    world.make(people(1, 2))
    world.sandbox.fail("lose_row", keys=[phone(1)])
    ended = world.ends(_rows(), mode=mode, report=tmp_path, **AGAIN)
    assert world.now() == bag(people(2))
    _away(ended.error, tmp_path)


@pytest.mark.parametrize("mode", ["upsert", "update", "mirror"])
@pytest.mark.parametrize("fault", ["drop_before", "drop_after"])
def test_an_unclear_replacement_is_brought_back_whole_in_a_later_round(world: World, fault: str, mode: str) -> None:
    world.make(people(1, 2))
    world.sandbox.fail(fault, methods="addcontactlist", count=1)
    result = world.run(_rows(), mode=mode, **AGAIN)
    assert world.now() == bag([person(1, name=UNSAFE), person(2)])
    assert shown(result) == {"updated": 1, "unchanged": 1}
    assert world.sandbox.sent_rows(world.group) == {phone(1): 1 if fault == "drop_after" else 2}


@pytest.mark.parametrize("mode", ["upsert", "update", "mirror"])
def test_a_deletion_and_an_addition_that_are_both_unclear_end_whole(world: World, mode: str) -> None:
    """The deletion is repeated in place and meets nobody; the addition waits for the next round."""
    world.make(people(1, 2))
    world.sandbox.fail("drop_after", methods="deletecontact", count=1)
    world.sandbox.fail("drop_before", methods="addcontactlist", count=1)
    world.run(_rows(), mode=mode, **AGAIN)
    assert world.now() == bag([person(1, name=UNSAFE), person(2)])


@pytest.mark.parametrize("fault", ["http_500", "drop_after"])
def test_the_deletion_of_a_replacement_is_repeated_in_place(world: World, fault: str) -> None:
    world.make(people(1, 2))
    world.sandbox.fail(fault, methods="deletecontact", count=1)
    result = world.run(_rows(), **AGAIN)
    assert world.now() == bag([person(1, name=UNSAFE), person(2)])
    assert result.rounds == 1


@pytest.mark.parametrize("mode", ["upsert", "update", "mirror"])
def test_a_deletion_that_stays_unclear_is_settled_by_the_next_read(world: World, mode: str) -> None:
    """It was carried out, so whom the read lacks is no sign of a lie: the contact is brought back whole."""
    world.make(people(1, 2))
    world.sandbox.fail("drop_after", methods="deletecontact", count=1)
    world.sandbox.fail("http_500", methods="deletecontact", retry_after=0)
    world.run(_rows(), mode=mode, **AGAIN)
    assert world.now() == bag([person(1, name=UNSAFE), person(2)])


def test_nobody_is_added_while_the_deletion_may_not_have_been_carried_out(world: World) -> None:
    """The contact would be there twice."""
    world.make(people(1, 2))
    world.sandbox.fail("http_500", methods="deletecontact", retry_after=0)
    ended = world.ends(_rows(), **AGAIN)
    assert not ended.green
    assert world.sandbox.count("addcontactlist") == 0
    assert world.now() == bag(people(1, 2))


def test_who_is_back_although_the_answer_was_lost_is_not_named(world: World) -> None:
    """The run is red because of somebody else."""
    world.make(people(1, 2))
    world.sandbox.fail("drop_after", methods="addcontactlist", count=1)
    world.sandbox.fail("error", methods="modifycontact", code="SOME_REASON")
    ended = world.ends([person(1, name=UNSAFE), person(2, name="New")], **AGAIN)
    assert world.now() == bag([person(1, name=UNSAFE), person(2)])
    assert ended.message.startswith("The group still differs in 1 contacts")


@pytest.mark.parametrize("put_back", [False, True])
def test_who_is_back_counts_in_what_the_next_read_must_show(world: World, put_back: bool) -> None:
    """Else somebody whom the source does not name could go missing behind the one who was away for a moment."""
    world.make(people(1, 2, 3))
    world.sandbox.fail("hide", keys=[phone(3)], after=1)
    if put_back:
        world.sandbox.fail("refuse_row", keys=[phone(1)], first=1)
    ended = world.ends(_rows(), **AGAIN)
    assert isinstance(ended.error, AfilnetLyingReadError), ended
    assert "lacks at least 1" in ended.message


@pytest.mark.parametrize("bulk_dedupes", [True, False])
@pytest.mark.parametrize("mode", ["upsert", "update"])
def test_a_contact_that_is_there_twice_is_not_replaced(world: World, mode: str, bulk_dedupes: bool) -> None:
    """A server that skips known keys would not add it anew while the other copy is there."""
    world.sandbox.dialect = Dialect(bulk_dedupes=bulk_dedupes)
    world.make([person(1), person(1, city="Old"), person(2)])
    message = world.refused(_rows(), mode=mode, **AGAIN)
    assert "are there twice" in message
    assert "row 1" in message


def test_a_replacement_that_waits_for_its_double_is_made_without_verify_too(world: World) -> None:
    world.make([person(1), person(1, city="Old"), person(2)])
    result = world.run([person(1, name=UNSAFE), person(2)], mode="mirror", verify=False, **AGAIN)
    assert world.now() == bag([person(1, name=UNSAFE), person(2)])
    assert (result.updated, result.deleted_duplicates) == (1, 1)


@pytest.mark.parametrize(
    ("kind", "detail", "lost"),
    [
        ("error", {"code": "GROUP_LIMIT_REACHED"}, 1),
        ("rate_limited", {"retry_after": 0.01}, 1),
        ("drop_before", {}, 1),
    ],
)
def test_nobody_else_is_taken_away_when_somebody_does_not_come_back(
    world: World, kind: str, detail: dict[str, Any], lost: int
) -> None:
    """The first goes alone, so a server that takes nobody back costs one contact and not the group."""
    world.make(people(*range(40)))
    world.sandbox.fail(kind, methods="addcontactlist", **detail)
    ended = world.ends([person(n, name=UNSAFE) for n in range(40)], **{**AGAIN, "max_deletes": 1.0})
    assert len(world.stored()) == 40 - lost
    assert "were deleted to be replaced" in ended.message
    assert ended.error is not None
    assert not ended.error.retryable


def test_who_is_away_and_refused_in_a_later_round_is_told_as_deleted(world: World, tmp_path: Path) -> None:
    world.make(people(1, 2))
    world.sandbox.fail("drop_before", methods="addcontactlist", count=1)
    world.sandbox.fail("refuse_row", keys=[phone(1)])
    ended = world.ends(_rows(), report=tmp_path, **AGAIN)
    assert "it was deleted to be written anew, which was refused with INCORRECT_CONTACTS" in ended.message
    _away(ended.error, tmp_path)


def test_a_put_back_whose_answer_was_lost_is_tried_once_more(world: World) -> None:
    world.make(people(1, 2))
    world.sandbox.fail("refuse_row", keys=[phone(1)], first=1)
    world.sandbox.fail("drop_before", methods="addcontactlist", count=1)
    ended = world.ends(_rows(), **AGAIN)
    assert "refused with INCORRECT_CONTACTS, so it was put back as it was" in ended.message
    assert world.now() == bag(people(1, 2))


@pytest.mark.parametrize("with_report", [True, False])
def test_who_does_not_show_again_is_named_whatever_ends_the_run(
    world: World, tmp_path: Path, with_report: bool
) -> None:
    """The addition is acknowledged and not stored, and the read that shows it lacks somebody else, too."""
    world.make([*people(1), person(2), person(3)])
    gone = world.ids()[phone(3)]
    world.sandbox.fail("lose_row", keys=[phone(1)])
    world.sandbox.fail("latency", methods="addcontactlist", seconds=0.2)
    beside = world.when("addcontactlist", lambda: world.sandbox.remove_contacts(world.group, [gone]))
    ended = world.ends(_rows(), report=tmp_path if with_report else None, **AGAIN)
    beside.join()
    _away(ended.error, tmp_path if with_report else None)
    assert "lacks at least 1 that must be there" in ended.message
