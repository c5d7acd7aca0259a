"""However a refresh ends, it says what failed already, what was written already, and how many there were of each."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from refresh_world import World, bag, people, person, phone, shown, table

from airflow_provider_afilnet.api.errors import AfilnetCredentialsError
from airflow_provider_afilnet.api.masking import mask_key
from airflow_provider_afilnet.refresh.engine import _Run
from airflow_provider_afilnet.refresh.errors import AfilnetGuardrailError, AfilnetIncompleteError, AfilnetLyingReadError
from airflow_provider_afilnet.refresh.options import RefreshOptions
from airflow_provider_afilnet.refresh.pace import StopFlag
from airflow_provider_afilnet.sandbox.dialect import Dialect

UNSAFE = "cannot: travel, as text"
ONE: dict[str, Any] = {"max_connections": 1}


# --- what failed before the end is named ---


@pytest.mark.parametrize("method", ["modifycontact", "deletecontact", "addcontactlist"])
def test_wrong_credentials_in_the_middle(world: World, caplog: pytest.LogCaptureFixture, method: str) -> None:
    """One write was refused before; nobody reads about it anywhere else."""
    world.make(people(1, 2, 3))
    world.sandbox.fail("error", methods=method, code="SOME_REASON", count=1)
    world.sandbox.fail("error", methods=method, code="INCORRECT_USER_PASSWORD")
    rows: dict[str, list[dict[str, str]]] = {
        "modifycontact": people(1, 2, 3, name="New"),
        "deletecontact": people(1, 2, 3),
        "addcontactlist": people(*range(11, 17)),
    }
    mode = "remove" if method == "deletecontact" else "upsert"
    ended = world.ends(rows[method], mode=mode, settings=ONE, batch_size=1)
    assert isinstance(ended.error, AfilnetCredentialsError)
    assert ended.counts is not None
    assert ended.counts.failed >= 1
    named = [record.getMessage() for record in caplog.records if "SOME_REASON" in record.getMessage()]
    assert named, "nobody is named who was refused"
    assert "row " in named[0]


def test_a_read_that_shrinks_after_a_refusal(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.make(people(*range(60)))
    world.sandbox.fail("error", methods="modifycontact", code="SOME_REASON", count=1)
    world.sandbox.fail("hide", keys=[phone(n) for n in range(40, 60)], after=1)
    ended = world.ends(people(0, 1, name="New"), settings=ONE)
    assert isinstance(ended.error, AfilnetLyingReadError)
    named = [record.getMessage() for record in caplog.records if "SOME_REASON" in record.getMessage()]
    assert len(named) == 1
    assert f"row 1 ({mask_key(phone(0))}) name: refused with SOME_REASON" in named[0]
    assert ended.counts is not None
    assert ended.counts.failed >= 1


# --- every error that knows counts carries them ---


def _wrong_password(world: World) -> None:
    world.sandbox.fail("error", methods="modifycontact", code="INCORRECT_USER_PASSWORD")


ENDS: dict[str, tuple[Callable[[World], object], dict[str, Any]]] = {
    "credentials": (_wrong_password, {}),
    "access": (lambda world: world.sandbox.fail("error", code="NOT_ACCESS_TO_GROUP", after=2), {}),
    "redirect": (
        lambda world: world.sandbox.fail("redirect", methods="modifycontact", location="http://x.example"),
        {},
    ),
    "retry after": (lambda world: world.sandbox.fail("rate_limited", methods="modifycontact", retry_after=3600), {}),
    "lying read": (lambda world: world.sandbox.fail("null_read", after=1), {}),
    "guardrail": (lambda world: None, {"mode": "mirror", "max_deletes": 0}),
    "wrong ids": (lambda world: setattr(world.sandbox, "dialect", Dialect(contacts="positional")), {}),
    "refused": (lambda world: world.sandbox.fail("error", methods="modifycontact", code="SOME_REASON"), {}),
}


@pytest.mark.parametrize("name", list(ENDS))
def test_every_error_carries_the_counts(world: World, name: str) -> None:
    act, how = ENDS[name]
    world.make(people(*range(20)))
    act(world)
    ended = world.ends([*people(*range(10)), *people(10, 11, name="New")], **how)
    assert ended.error is not None
    result = ended.counts
    assert result is not None
    assert result.adds_up
    # Whom the last read does not show has failed, too.
    unchanged = 0 if name == "lying read" else 10
    assert (result.source_rows, result.unchanged, result.failed) == (12, unchanged, 12 - unchanged)


@pytest.mark.parametrize("wrong", ["added", "unchanged", "failed", "source_rows"])
def test_counts_that_do_not_add_up_are_red(world: World, wrong: str) -> None:
    """No source and no server is known that brings this about, so the judge is asked alone, about made-up counts."""
    result = world.run(people(*range(5)))
    judge = _Run(world.settings(), world.group, RefreshOptions(), None, StopFlag(), None)
    judge._judge(result)
    with pytest.raises(AfilnetIncompleteError, match="do not add up"):
        judge._judge(dataclasses.replace(result, **{wrong: getattr(result, wrong) + 1}))


# --- max_rejected names rows and reasons ---


def test_too_many_rejects_of_the_source_are_named(world: World) -> None:
    rows = [person(1), {**person(2), "mobile": None}, {**person(3), "city": b"x"}, person(4)]
    message = world.refused(rows, invalid_rows="reject", max_rejected=1)
    assert "2 of 4 rows were rejected and max_rejected=1 allows 1" in message
    assert "row 2: mobile is null" in message
    assert "row 3: city is a bytes" in message


def test_too_many_rejects_of_unsafe_values_are_named(world: World) -> None:
    world.make(people(1, 2, 3))
    rows = [person(1, name="a, b"), person(2), person(3, name="New", city="c: d")]
    message = world.refused(rows, unsafe_values="reject", max_rejected=1)
    assert "2 of 3 rows were rejected and max_rejected=1 allows 1" in message
    assert "row 1: name holds a comma or a colon" in message
    assert "row 3: name, city holds a comma or a colon" in message


def test_rejects_of_both_kinds_count_together(world: World) -> None:
    world.make(people(1, 2, 3))
    rows = [{**person(9), "mobile": None}, person(1, name="a, b"), person(2)]
    how: dict[str, Any] = {"unsafe_values": "reject", "invalid_rows": "reject"}
    message = world.refused(rows, max_rejected=1, **how)
    assert "row 1: mobile is null" in message
    assert "row 2: name holds a comma" in message
    assert shown(world.run(rows, max_rejected=2, **how)) == {"rejected": 2, "unchanged": 1}


# --- a first read that lied ---


def _null_at_first(world: World, **values: str) -> list[dict[str, str]]:
    """All probes are new: those who are there come last in the order of keys."""
    world.make(people(*range(100, 110)))
    world.sandbox.fail("null_read", count=1)
    return [*people(*range(60)), *people(*range(100, 105)), *people(*range(105, 110), **values)]


def test_who_was_there_is_not_counted_as_added(world: World) -> None:
    rows = _null_at_first(world, name="New")
    result = world.run(rows)
    assert shown(result) == {"added": 60, "unchanged": 5, "updated": 5}
    assert world.now() == bag(rows)
    assert not set(world.sandbox.sent_rows(world.group)) & {phone(n) for n in range(100, 110)}


def test_who_was_there_is_skipped_by_insert(world: World) -> None:
    result = world.run(_null_at_first(world, name="New"), mode="insert")
    assert shown(result) == {"added": 60, "skipped": 10}
    assert world.now() == bag(people(*range(60), *range(100, 110)))


@pytest.mark.parametrize("hidden", [True, False])
def test_nothing_more_was_written_where_something_was(world: World, hidden: bool) -> None:
    """Probes were added before the read healed and a guardrail looked at the true plan."""
    rows = _null_at_first(world, name=UNSAFE)
    if hidden:
        world.sandbox.clear_faults()
        # One probe of three meets somebody; the other two are added.
        world.sandbox.fail("hide", keys=[phone(n) for n in (0, *range(100, 110))], count=1)
        world.sandbox.add_contacts(world.group, people(0))
    ended = world.ends(rows)
    assert isinstance(ended.error, AfilnetGuardrailError)
    assert ended.message.startswith("Nothing more was written: 5 changed contacts hold a comma or a colon")
    assert world.sandbox.count("addcontact") == 3
    assert world.sandbox.count("addcontactlist", "modifycontact", "deletecontact") == 0
    assert ended.counts is not None
    assert ended.counts.added == (2 if hidden else 3)


def test_nothing_was_written_where_nothing_was(world: World) -> None:
    world.make(people(1))
    assert world.refused([person(1, name=UNSAFE), person(2)]).startswith("Nothing was written: ")


# --- smaller rules of the way there ---


@pytest.mark.parametrize("code", ["MISSING_CONTACTS", "MISSING_USER", "MISSING_PASSWORD", "MISSING_IDGROUP"])
def test_a_missing_parameter_of_a_batch_means_too_large(world: World, code: str) -> None:
    """A server that cuts a long body off says so; the batches that come later are made smaller."""
    world.sandbox.fail("too_large", rows=50, code=code)
    result = world.run(people(*range(1203)), batch_size=400, settings=ONE)
    assert result.added == 1203
    sizes = [int(call.params["rows"]) for call in world.sandbox.calls if call.method == "addcontactlist"]
    assert sum(size > 50 for size in sizes) <= 7, "only the first batch had to find out"


def test_hidden_probes_are_looked_for_after_settle(world: World) -> None:
    """The group answers as it was 0.8 s ago, which is when it was empty."""
    world.make(people(*range(40)))
    world.sandbox.fail("stale_read", seconds=0.8)
    result = world.run(people(*range(60)), settle=2)
    assert shown(result) == {"added": 20, "unchanged": 40}
    assert world.now() == bag(people(*range(60)))


def test_a_lossy_field_is_compared_in_its_folded_form(world: World) -> None:
    """It is not among the fields that a row is rejected for where only line ends and the form of é differ."""
    world.make([person(1, name="Jose\u0301\r\nRuiz "), person(2, name="Ana")])
    rows = [person(1, name="Jos\u00e9\nRuiz", city="a, b"), person(2, name="Eva", city="a, b")]
    message = world.refused(rows, unsafe_values="reject", lossy_fields="name")
    assert "row 1: city holds a comma" in message
    assert "row 2: name, city holds a comma" in message


def test_the_backup_is_written_in_every_round(world: World, tmp_path: Path) -> None:
    """The first read hid somebody, whom only the second round changes; no probe meets this last of many."""
    world.make(people(*range(100, 110)))
    world.sandbox.fail("hide", keys=[phone(109)], count=1)
    result = world.run([*people(*range(60)), person(109, name="New")], report=tmp_path)
    assert result.rounds == 2
    assert world.now() == bag([*people(*range(60), *range(100, 109)), person(109, name="New")])
    backup = [json.loads(line) for line in (tmp_path / "backup.jsonl").read_text().splitlines()]
    assert person(109) in backup


@pytest.mark.parametrize("facts", [{}, {"modify_merges": True}])
def test_the_fields_that_an_error_names_are_those_that_differ(world: World, facts: dict[str, bool]) -> None:
    world.make([person(1, name="Jose\u0301", city="Soria")])
    world.sandbox.fail("error", methods="modifycontact", code="SOME_REASON")
    rows = table([person(1, name="Jos\u00e9", city="Lugo")], world.columns)
    ended = world.ends(rows, lossy_fields="name", settings={"facts": facts})
    assert ") city: refused with SOME_REASON" in ended.message


@pytest.mark.parametrize(("method", "field"), [("modifycontact", " name"), ("deletecontact", "")])
def test_three_rounds_and_no_more(world: World, method: str, field: str) -> None:
    """What never gets a clear answer is tried in each round, then named without a field where none differs."""
    world.make(people(*range(5)))
    fault = world.sandbox.fail("http_500", methods=method, status=500, retry_after=0)
    rows = [*people(*range(3)), person(3, name="New")]
    ended = world.ends(rows, mode="mirror")
    assert ended.error is not None
    assert ended.counts is not None
    assert ended.counts.rounds == 3
    assert world.sandbox.count("getcontacts") == 1 + 3, "the last read shows what differs"
    assert "still differs in 1 contacts after 3 rounds" in ended.message
    assert f"){field}: not done after 3 rounds" in ended.message
    assert ended.error.retryable
    fault.remove()
    assert world.ends(rows, mode="mirror").green
    assert world.now() == bag(rows)
