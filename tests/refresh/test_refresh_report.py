"""The report folder: counts, rejects, a journal of every write, and a backup that brings the old state back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from refresh_world import World, bag, expected, people, person, phone, table

from airflow_provider_afilnet.api.errors import AfilnetConfigurationError
from airflow_provider_afilnet.refresh.rows import DictRows


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def _rows() -> list[dict[str, Any]]:
    return [
        *people(*range(5)),
        person(5, name="Changed"),
        person(6, city="a, b"),
        person(50),
        person(51, name="ñ😀"),
        {**person(7), "name": "\x00"},
    ]


HOW: dict[str, Any] = {"mode": "mirror", "unsafe_values": "replace", "invalid_rows": "reject", "max_rejected": 1}


def test_the_files_of_a_green_run(world: World, tmp_path: Path) -> None:
    world.make(people(*range(10)))
    ids = world.ids()
    folder = tmp_path / "deep" / "report"
    result = world.run(_rows(), report=folder, **HOW)
    assert {path.name for path in folder.iterdir()} == {
        "report.json", "rejects.jsonl", "backup.jsonl", "journal.jsonl",
    }  # fmt: skip
    assert result.report_path == str(folder)
    report = json.loads((folder / "report.json").read_text("utf-8"))
    assert (report["status"], report["error"]) == ("success", None)
    assert report["result"] == result.as_dict()
    assert lines(folder / "rejects.jsonl") == [
        {
            "row": 10,
            "outcome": "rejected",
            "field": "name",
            "reason": "holds a control character other than tab and newline",
            "source": {**person(7), "name": "\x00"},
        }
    ]
    assert bag(lines(folder / "backup.jsonl")) == bag(people(5, 6, 8, 9)), "whole, and nobody else"
    journal = {
        (line["operation"], line["key"], line["id"], line["outcome"]) for line in lines(folder / "journal.jsonl")
    }
    assert journal == {
        ("add", phone(50), None, "acked"),
        ("add", phone(51), None, "acked"),
        ("update", phone(5), ids[phone(5)], "acked"),
        ("replace", phone(6), ids[phone(6)], "deleted"),
        ("replace", phone(6), ids[phone(6)], "acked"),
        ("delete", phone(8), ids[phone(8)], "acked"),
        ("delete", phone(9), ids[phone(9)], "acked"),
    }
    assert all(line["time"].startswith("20") for line in lines(folder / "journal.jsonl"))


def test_the_backup_is_there_before_the_contact_is_touched(world: World, tmp_path: Path) -> None:
    """Nothing after the first change can be relied on, so the first change itself fails for good here."""
    world.make(people(*range(10)))
    world.sandbox.fail("error", methods=["modifycontact"], code="INCORRECT_USER_PASSWORD")
    ended = world.ends(_rows(), report=tmp_path, **HOW)
    assert not ended.green
    assert world.sandbox.count("deletecontact") == 0
    assert bag(lines(tmp_path / "backup.jsonl")) == bag(people(5, 6, 8, 9))


def test_the_journal_knows_every_write_of_a_bumpy_run(world: World, tmp_path: Path) -> None:
    world.make(people(*range(40)))
    world.sandbox.fail("refuse_row", keys=[phone(60)])
    world.sandbox.fail("drop_after", methods="addcontactlist", count=1, after=1)
    rows = [*people(*range(10), *range(50, 90)), *people(*range(10, 30), name="New")]
    ended = world.ends(rows, mode="mirror", max_deletes=10, report=tmp_path)
    assert "INCORRECT_CONTACTS" in ended.message
    journal = lines(tmp_path / "journal.jsonl")
    touched = {line["key"] for line in journal}
    assert touched == {phone(n) for n in (*range(50, 90), *range(10, 40))}
    assert [(line["outcome"], line["code"]) for line in journal if line["key"] == phone(60)] == [
        ("refused", "INCORRECT_CONTACTS")
    ]
    assert any(line["outcome"] == "unknown" for line in journal)
    (failed,) = lines(tmp_path / "rejects.jsonl")
    assert (failed["outcome"], failed["key"], failed["row"]) == ("failed", phone(60), rows.index(person(60)) + 1)
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert report["status"] == "failed"
    assert report["result"]["failed"] == 1
    assert "AfilnetIncompleteError" in report["error"]
    assert phone(60) not in report["error"]


def test_an_upsert_of_the_backup_restores_the_group(world: World, tmp_path: Path) -> None:
    columns = ("mobile", "name", "city", "note")
    before = [person(n) | {"note": f"by hand, {n}"} for n in range(30)]
    world.make(before, columns=columns)
    rows = table(people(*range(10), name="Wrong"), ("mobile", "name", "city"))
    world.run(rows, mode="mirror", max_deletes=1.0, unsafe_values="replace", report=tmp_path)
    assert world.now() == bag([person(n, name="Wrong") | {"note": f"by hand, {n}"} for n in range(10)])
    backup = lines(tmp_path / "backup.jsonl")
    world.run(DictRows(backup), mode="upsert", unsafe_values="replace", max_deletes=1.0)
    assert world.now() == bag(before)


def test_the_backup_can_clear_a_column_that_the_run_made(world: World, tmp_path: Path) -> None:
    world.make(people(1))
    world.run(table([person(1) | {"note": "x"}], ("mobile", "note")), unknown_columns="create", report=tmp_path)
    world.run(DictRows(lines(tmp_path / "backup.jsonl")), nulls="clear")
    assert world.now() == bag(people(1))


def test_of_several_copies_the_one_that_survives_is_first_in_the_backup(world: World, tmp_path: Path) -> None:
    """So a restore that takes the first never gives it the values of another."""
    other = person(1, name="Other") | {"mobile": "+" + phone(1)}
    world.make([other, person(1)])
    world.run(people(1, name="New"), mode="mirror", report=tmp_path)
    assert world.now() == bag(people(1, name="New"))
    assert lines(tmp_path / "backup.jsonl") == [person(1), other]


def writes(journal: list[dict[str, Any]], outcome: str) -> set[tuple[Any, ...]]:
    """Operation, key and id of what the journal notes with an outcome, or fail if it notes another one."""
    # A replacement is noted twice: at once when the contact is away, and when it is back.
    assert {line["outcome"] for line in journal if line["operation"] != "replace"} <= {outcome}
    return {(line["operation"], line["key"], line["id"], line.get("field")) for line in journal}


def test_a_dry_run_shows_the_plan_that_the_run_carries_out(world: World, tmp_path: Path) -> None:
    world.make(people(*range(10)))
    rows = table([{**row, "since": "2026"} for row in _rows()], (*world.columns, "since"))
    how = {**HOW, "unknown_columns": "create"}
    planned = world.run(rows, dry_run=True, report=tmp_path / "dry", **how)
    assert world.sandbox.writes == 0
    assert not (tmp_path / "dry" / "backup.jsonl").exists()
    report = json.loads((tmp_path / "dry" / "report.json").read_text())
    assert (report["status"], report["result"]) == ("success", planned.as_dict())
    assert report["result"]["dry_run"] is True
    done = world.run(rows, report=tmp_path / "done", **how)
    plan = writes(lines(tmp_path / "dry" / "journal.jsonl"), "planned")
    assert plan == writes(lines(tmp_path / "done" / "journal.jsonl"), "acked")
    assert {operation for operation, *_ in plan} == {"create_column", "add", "update", "replace", "delete"}
    assert (planned.plan_digest, planned.added, planned.deleted) == (done.plan_digest, done.added, done.deleted)


def test_a_dry_run_lists_what_the_run_would_leave_different(world: World, tmp_path: Path) -> None:
    """Deletions that are withheld for an unreadable key, and a contact whose own key is unreadable."""
    world.make([*people(*range(200)), {"mobile": "12", "name": "By hand"}])
    rows = [*people(*range(195)), {**person(500), "mobile": "5"}]
    how: dict[str, Any] = {"mode": "mirror", "invalid_rows": "reject", "max_rejected": 1}
    world.run(rows, dry_run=True, report=tmp_path / "dry", **how)
    ended = world.ends(rows, report=tmp_path / "done", **how)
    assert not ended.green
    dry = lines(tmp_path / "dry" / "rejects.jsonl")
    assert dry == lines(tmp_path / "done" / "rejects.jsonl")
    assert [line["outcome"] for line in dry] == ["rejected"] + ["failed"] * 6


@pytest.mark.parametrize(
    ("fault", "outcomes"),
    [
        (None, [("acked", None)]),
        ({"kind": "drop_after"}, [("unknown", None), ("acked", None)]),
        ({"kind": "error", "code": "INCORRECT_FIELD"}, [("refused", "INCORRECT_FIELD")]),
    ],
)
def test_the_journal_knows_the_columns_that_were_made(
    world: World, tmp_path: Path, fault: dict[str, Any] | None, outcomes: list[tuple[str, str | None]]
) -> None:
    world.make(people(1))
    if fault is not None:
        world.sandbox.fail(methods="addcolumntogroup", **fault)
    ended = world.ends(
        table([{**person(1), "since": "2026"}], (*world.columns, "since")), unknown_columns="create", report=tmp_path
    )
    journal = [line for line in lines(tmp_path / "journal.jsonl") if line["operation"] == "create_column"]
    assert [(line["outcome"], line["code"]) for line in journal] == outcomes
    assert {(line["field"], line["key"], line["id"]) for line in journal} == {("since", None, None)}
    assert ended.green == (outcomes[-1][0] == "acked")


def test_a_folder_that_cannot_be_written_stops_the_run(world: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    world.sandbox.clear_calls()
    with pytest.raises(AfilnetConfigurationError, match="report_path"):
        world.run(people(1), report=tmp_path / "file" / "folder")
    assert world.sandbox.calls == []


def test_without_a_folder_the_log_names_masked_keys(world: World, caplog: pytest.LogCaptureFixture) -> None:
    numbers = range(10, 160)
    world.sandbox.fail("lose_row", keys=[phone(n) for n in numbers])
    ended = world.ends(people(*range(200)))
    assert "150 contacts" in ended.message
    assert "and 145 more, see the log" in ended.message
    named = [record.getMessage() for record in caplog.records if "differs" in record.getMessage()]
    assert len(named) == 100
    assert "row 11 (346******10): its addition was acknowledged, but the group does not show it" in named[0]
    assert not any(phone(n) in text for text in (ended.message, caplog.text) for n in numbers)


def test_a_red_run_still_counts_every_row(world: World) -> None:
    world.make(people(*range(40)))
    world.sandbox.fail("error", methods="deletecontact", code="SOME_REASON")
    rows = [*people(*range(30)), person(60)]
    ended = world.ends(rows, mode="mirror", max_deletes=10)
    assert ended.counts is not None
    assert (ended.counts.added, ended.counts.unchanged, ended.counts.deleted) == (1, 30, 0)
    assert "its deletion was refused with SOME_REASON" in ended.message
    assert world.now() == expected(people(*range(40)), rows, "upsert")[0]
