"""The contact operators in Airflow's own task runner, against the sandbox."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from airflow.providers.common.compat.sdk import DAG, ObjectStoragePath

from airflow_provider_afilnet import exceptions
from airflow_provider_afilnet.operators import contact_export
from airflow_provider_afilnet.operators.contacts import (
    AfilnetAddContactListOperator,
    AfilnetAddContactOperator,
    AfilnetDeleteContactOperator,
    AfilnetGetContactOperator,
    AfilnetGetContactsOperator,
    AfilnetModifyContactOperator,
)
from airflow_provider_afilnet.sandbox import Dialect, Sandbox

pytestmark = pytest.mark.usefixtures("afilnet_conn")

Run = Callable[..., Any]

ANA = {"mobile": "34600000001", "name": 'Ana, the "first"\n', "city": "Soria"}
BEN = {"mobile": "34600000002", "name": "Ben"}


@pytest.fixture
def group(sandbox: Sandbox) -> str:
    return sandbox.create_group("customers", "mobile", ["mobile", "name", "city"], [ANA, BEN])


# --- reading ---------------------------------------------------------------------------------------------------------


def test_contacts_go_to_xcom(run_task: Run, sandbox: Sandbox, group: str) -> None:
    result = run_task(AfilnetGetContactsOperator(task_id="t", group_id="{{ params.g }}", params={"g": group}))
    assert result.state == "success", result.error
    assert result.value == sandbox.contacts(group)


@pytest.mark.parametrize("empty_values", ["omit", "empty", "null"])
@pytest.mark.parametrize("contacts", ["flat", "keyed-nested"])
def test_export_in_every_format(
    run_task: Run, sandbox: Sandbox, group: str, tmp_path: Path, contacts: str, empty_values: str
) -> None:
    sandbox.dialect = Dialect(contacts=contacts, empty_values=empty_values)
    stored = sandbox.contacts(group)
    full = [{"idcontact": "", "mobile": "", "name": "", "city": "", **contact} for contact in stored]
    for ending in (".jsonl", ".csv", ".parquet"):
        target = tmp_path / f"out{ending}"
        target.write_text("an older file")
        result = run_task(
            AfilnetGetContactsOperator(
                task_id="t", group_id=group, output_path=f"file://{tmp_path}/{{{{ 'out' }}}}{ending}"
            )
        )
        assert result.state == "success", result.error
        assert result.value["count"] == 2
        assert result.value["path"].endswith(f"/out{ending}")
        if ending == ".jsonl":
            rows = [json.loads(line) for line in target.read_text().splitlines()]
            assert [{k: v for k, v in row.items() if v} for row in rows] == stored
        elif ending == ".csv":
            with target.open(newline="") as file:
                reader = csv.DictReader(file)
                assert list(reader) == full
                assert reader.fieldnames == ["idcontact", "mobile", "name", "city"]
        else:
            table = pyarrow.parquet.read_table(target)
            assert {str(kind) for kind in table.schema.types} == {"string"}
            assert table.to_pylist() == full


def test_export_of_an_empty_group(run_task: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    group = sandbox.create_group("none", "mobile", ["mobile", "name"])
    for ending in (".jsonl", ".csv", ".parquet"):
        target = tmp_path / f"out{ending}"
        result = run_task(AfilnetGetContactsOperator(task_id="t", group_id=group, output_path=str(target)))
        assert result.value["count"] == 0
    assert (tmp_path / "out.jsonl").read_text() == ""
    assert (tmp_path / "out.csv").read_bytes() == b"idcontact,mobile,name\r\n"
    assert pyarrow.parquet.read_table(tmp_path / "out.parquet").column_names == ["idcontact", "mobile", "name"]


def test_parquet_is_written_in_row_groups(
    run_task: Run, sandbox: Sandbox, group: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contact_export, "_ROW_GROUP", 100)
    sandbox.add_contacts(group, [{"mobile": f"3461{n:07}"} for n in range(248)])
    target = tmp_path / "out.parquet"
    result = run_task(AfilnetGetContactsOperator(task_id="t", group_id=group, output_path=str(target)))
    assert result.value["count"] == 250
    file = pyarrow.parquet.ParquetFile(target)
    assert (file.metadata.num_row_groups, file.metadata.num_rows) == (3, 250)


@pytest.mark.parametrize("path", ["out.json", "out", "out.CSV.gz", "", " "])
def test_other_endings_are_refused_before_the_call(run_task: Run, sandbox: Sandbox, group: str, path: str) -> None:
    result = run_task(AfilnetGetContactsOperator(task_id="t", group_id=group, output_path=path, retries=1))
    assert result.state == "failed"
    assert "output_path" in str(result.error)
    assert sandbox.calls == []


def test_parquet_without_pyarrow_is_refused_before_the_call(
    run_task: Run, sandbox: Sandbox, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    result = run_task(AfilnetGetContactsOperator(task_id="t", group_id=group, output_path="/tmp/out.parquet"))
    assert result.state == "failed"
    assert "pip install 'airflow-provider-afilnet[parquet]'" in str(result.error)
    assert sandbox.calls == []


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".parquet"])
def test_a_read_that_breaks_off_leaves_the_path_as_it_was(
    run_task: Run, sandbox: Sandbox, group: str, tmp_path: Path, ending: str
) -> None:
    older, fresh = tmp_path / f"older{ending}", tmp_path / f"fresh{ending}"
    older.write_text("an older file")
    sandbox.fail("garbled", methods="getcontacts")
    for target in (older, fresh):
        task = AfilnetGetContactsOperator(task_id="t", group_id=group, output_path=str(target), retries=1)
        assert run_task(task).state == "up_for_retry"
    assert older.read_text() == "an older file"
    assert not fresh.exists()


def test_a_copy_that_breaks_off_leaves_no_half_file(
    run_task: Run, group: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(source: Any, target: Any, size: int) -> None:
        target.write(source.read(5))
        raise OSError("disk full")

    monkeypatch.setattr(contact_export.shutil, "copyfileobj", half)
    target = tmp_path / "out.jsonl"
    result = run_task(AfilnetGetContactsOperator(task_id="t", group_id=group, output_path=str(target), retries=1))
    assert result.state == "up_for_retry"
    assert not target.exists()


def test_a_field_without_a_column_is_named(run_task: Run, sandbox: Sandbox, group: str, tmp_path: Path) -> None:
    sandbox.add_contacts(group, [{"mobile": "34600000003", "surprise": "x"}])
    for ending in (".csv", ".parquet"):
        target = tmp_path / f"out{ending}"
        result = run_task(AfilnetGetContactsOperator(task_id="t", group_id=group, output_path=str(target)))
        assert result.state == "failed"
        assert "'surprise'" in str(result.error)
        assert not target.exists()
    result = run_task(AfilnetGetContactsOperator(task_id="t", group_id=group, output_path=str(tmp_path / "o.jsonl")))
    assert result.value["count"] == 3


@pytest.mark.parametrize("kind", ["null_read", "absent_read"])
def test_a_null_read_is_never_an_empty_group(
    run_task: Run, sandbox: Sandbox, group: str, tmp_path: Path, kind: str
) -> None:
    older = tmp_path / "older.csv"
    older.write_text("a good export")
    sandbox.fail(kind)
    for path in (str(older), str(tmp_path / "fresh.csv"), None):
        result = run_task(AfilnetGetContactsOperator(task_id="t", group_id=group, output_path=path, retries=1))
        assert result.state == "up_for_retry"
        assert isinstance(result.error, exceptions.AfilnetUnprovenReadError)
        assert result.value is None
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("older.csv", "a good export")]


@pytest.mark.parametrize("how", ["output", "template"])
def test_a_path_that_is_lost_does_not_send_the_list_to_xcom(
    run_task: Run, sandbox: Sandbox, group: str, how: str
) -> None:
    with DAG("lost", schedule=None):
        upstream = AfilnetGetContactsOperator(task_id="up", group_id="1")
        path = upstream.output if how == "output" else "{{ params.x }}"
        task = AfilnetGetContactsOperator(task_id="t", group_id=group, output_path=path, retries=3, params={"x": None})
    result = run_task(task, xcoms={("up", "return_value"): None})
    assert (result.state, result.value) == ("failed", None)
    assert "output_path was given, but has no value" in str(result.error)
    assert sandbox.calls == []


def test_a_folder_that_does_not_exist_is_made(run_task: Run, group: str, tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "out.csv"
    result = run_task(AfilnetGetContactsOperator(task_id="t", group_id=group, output_path=target))
    assert result.state == "success", result.error
    assert target.exists()


@pytest.mark.parametrize("path", ["foo://bucket/out.csv", "gs://bucket/out.csv"])
def test_a_storage_that_is_not_installed_is_named(run_task: Run, sandbox: Sandbox, group: str, path: str) -> None:
    result = run_task(AfilnetGetContactsOperator(task_id="t", group_id=group, output_path=path, retries=3))
    assert result.state == "failed"
    assert isinstance(result.error.__cause__, exceptions.AfilnetConfigurationError)
    assert path in str(result.error)
    assert sandbox.calls == []


def test_a_storage_that_cannot_be_written_to_is_named(
    run_task: Run, group: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(*args: Any, **kwargs: Any) -> None:
        raise NotImplementedError

    monkeypatch.setattr(ObjectStoragePath, "open", read_only)
    task = AfilnetGetContactsOperator(task_id="t", group_id=group, output_path=str(tmp_path / "o.csv"), retries=3)
    result = run_task(task)
    assert result.state == "failed"
    assert "cannot do this" in str(result.error)


def test_an_export_that_cannot_be_opened_leaves_the_older_file(
    run_task: Run, group: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*args: Any, **kwargs: Any) -> None:
        raise PermissionError

    older = tmp_path / "older.csv"
    older.write_text("an older file")
    monkeypatch.setattr(ObjectStoragePath, "open", locked)
    task = AfilnetGetContactsOperator(task_id="t", group_id=group, output_path=str(older), retries=1)
    assert run_task(task).state == "up_for_retry"
    assert older.read_text() == "an older file"


def test_one_contact(run_task: Run, sandbox: Sandbox, group: str) -> None:
    stored = sandbox.contacts(group)[0]
    task = AfilnetGetContactOperator(
        task_id="t", group_id=group, contact_id="{{ params.c }}", params={"c": stored["idcontact"]}
    )
    assert run_task(task).value == stored
    result = run_task(AfilnetGetContactOperator(task_id="t", group_id=group, contact_id=999, retries=1))
    assert result.state == "failed"
    assert isinstance(result.error.__cause__, exceptions.AfilnetNotFoundError)


# --- adding ----------------------------------------------------------------------------------------------------------

EVA = {"mobile": "34600000003", "name": "Eva"}


def add(group: str, contact: dict[str, str], **options: Any) -> AfilnetAddContactOperator:
    return AfilnetAddContactOperator(task_id="t", group_id=group, contact=contact, **options)


@pytest.mark.parametrize("if_exists", ["fail", "skip", "update"])
def test_add_returns_the_id(run_task: Run, sandbox: Sandbox, group: str, if_exists: str) -> None:
    contact = {"mobile": "{{ params.m }}", "name": "Eva"}
    result = run_task(add(group, contact, if_exists=if_exists, params={"m": EVA["mobile"]}))
    assert sandbox.contacts(group)[-1] == {"idcontact": result.value, **EVA}


def test_add_that_exists_fails_or_is_skipped(run_task: Run, sandbox: Sandbox, group: str) -> None:
    before = sandbox.contacts(group)
    changed = {**BEN, "name": "Benjamin"}
    result = run_task(add(group, changed, retries=1))
    assert result.state == "failed"
    assert "if_exists='skip'" in str(result.error)
    result = run_task(add(group, changed, if_exists="skip"))
    assert (result.state, result.value) == ("success", None)
    assert sandbox.contacts(group) == before


@pytest.mark.parametrize("modify_merges", [False, True])
@pytest.mark.parametrize("contacts", ["flat", "keyed", "nested-id"])
def test_add_that_exists_updates_and_keeps_the_other_fields(
    run_task: Run, sandbox: Sandbox, contacts: str, modify_merges: bool
) -> None:
    sandbox.dialect = Dialect(modify_merges=modify_merges, contacts=contacts)
    group = sandbox.create_group("g", "mobile", ["mobile", "Name", "city"], [{**BEN, "mobile": "34600000009"}])
    sandbox.add_contacts(group, [{"mobile": "34600000001", "Name": "Ana", "city": "Soria"}])
    holder = sandbox.contacts(group)[1]
    result = run_task(add(group, {"mobile": "34600000001", "Name": "Anna"}, if_exists="update"))
    assert (result.state, result.value) == ("success", holder["idcontact"])
    assert sandbox.contacts(group)[1] == {**holder, "Name": "Anna"}


def test_update_matches_emails_without_case(run_task: Run, sandbox: Sandbox) -> None:
    group = sandbox.create_group("g", "email", ["email", "name"], [{"email": "Ana@Example.com", "name": "Ana"}])
    sandbox.fail("error", code="CONTACT_EXISTS", methods="addcontact")
    result = run_task(add(group, {"email": "ana@example.COM", "name": "Anna"}, if_exists="update"))
    assert result.state == "success", result.error
    assert sandbox.contacts(group)[0]["name"] == "Anna"


@pytest.mark.parametrize("key", ["mobile", "email"])
def test_update_never_picks_another_person_by_the_field_that_is_not_the_key(
    run_task: Run, sandbox: Sandbox, key: str
) -> None:
    """A household shares one e-mail: the contact that has it may be somebody else."""
    people = [{"mobile": "34600000001", "email": "home@example.com", "name": "Ana"}]
    group = sandbox.create_group("g", key, ["mobile", "email", "name"], people)
    before = sandbox.contacts(group)
    sandbox.fail("error", code="CONTACT_EXISTS", methods="addcontact")
    other = {"mobile": "34600000777", "email": "home@example.com", "name": "Ben"}
    for new in (other, {**other, "mobile": "34600000001", "email": "ben@example.com"}):
        result = run_task(add(group, new, if_exists="update", retries=1))
        assert result.state == "failed"
        assert "may be another person" in str(result.error)
        assert "@" not in str(result.error)
    assert sandbox.contacts(group) == before


@pytest.mark.parametrize("stored", [{"mobile": "+34 600 000 777"}, {}])
def test_update_finds_the_holder_whichever_field_is_the_key(
    run_task: Run, sandbox: Sandbox, stored: dict[str, str]
) -> None:
    fields = ["mobile", "email", "name"]
    group = sandbox.create_group("g", "email", fields, [{"email": "ana@example.com", **stored}])
    new = {"email": "ana@example.com", "mobile": "34600000777", "name": "Ana"}
    result = run_task(add(group, new, if_exists="update"))
    assert result.state == "success", result.error
    assert sandbox.contacts(group) == [{"idcontact": result.value, **new}]


def test_update_that_could_mean_two_contacts_changes_none(run_task: Run, sandbox: Sandbox) -> None:
    people = [
        {"email": "ana@example.com", "mobile": "34600000001"},
        {"email": "b@example.com", "mobile": "34600000777"},
    ]
    group = sandbox.create_group("g", "email", ["mobile", "email", "name"], people)
    before = sandbox.contacts(group)
    new = {"email": "ana@example.com", "mobile": "34600000777", "name": "Ana"}
    result = run_task(add(group, new, if_exists="update", retries=1))
    assert result.state == "failed"
    assert "2 contacts" in str(result.error)
    assert sandbox.contacts(group) == before


@pytest.mark.parametrize(
    ("dialect", "fault", "says"),
    [
        ({"contacts": "no-ids"}, None, "no ids"),
        ({}, {"kind": "hide", "keys": [BEN["mobile"]]}, "no contact of the group"),
        ({"contacts": "positional"}, None, "is not in|cannot be trusted"),
    ],
)
def test_update_without_a_sure_contact_changes_nobody(
    run_task: Run, sandbox: Sandbox, group: str, dialect: dict[str, Any], fault: dict[str, Any] | None, says: str
) -> None:
    sandbox.dialect = Dialect(**dialect)
    if fault:
        sandbox.fail(**fault)
    before = sandbox.contacts(group)
    result = run_task(add(group, {**BEN, "name": "Benjamin"}, if_exists="update", retries=1))
    assert result.state == "failed", result.error
    assert re.search(says, str(result.error))
    assert sandbox.contacts(group) == before
    assert sandbox.count("modifycontact") == 0


def test_update_with_a_stored_value_that_cannot_be_sent_changes_nothing(
    run_task: Run, sandbox: Sandbox, group: str
) -> None:
    before = sandbox.contacts(group)
    result = run_task(add(group, {"mobile": ANA["mobile"], "city": "Lugo"}, if_exists="update", retries=1))
    assert result.state == "failed"
    assert "'name'" in str(result.error)
    assert sandbox.contacts(group) == before


def test_wrong_if_exists_and_wrong_contact(run_task: Run, sandbox: Sandbox, group: str) -> None:
    for task in (
        add(group, EVA, if_exists="replace"),
        add(group, "mobile:34600000003"),  # type: ignore[arg-type]
        add(group, {}),
        add(group, {"mobile": 34600000003}),  # type: ignore[dict-item]
    ):
        assert run_task(task).state == "failed"
    assert sandbox.calls == []


def test_a_lost_answer_to_an_addition_is_retried(run_task: Run, sandbox: Sandbox, group: str) -> None:
    sandbox.fail("drop_after", methods="addcontact", count=1)
    assert run_task(add(group, EVA, if_exists="skip", retries=1)).state == "up_for_retry"
    assert run_task(add(group, EVA, if_exists="skip", retries=1), try_number=2).state == "success"
    assert len(sandbox.contacts(group)) == 3


@pytest.mark.parametrize("bulk", ["none", "counts", "ids", "number"])
def test_add_list_is_one_call(run_task: Run, sandbox: Sandbox, group: str, bulk: str) -> None:
    sandbox.dialect = Dialect(bulk=bulk)
    result = run_task(AfilnetAddContactListOperator(task_id="t", group_id=group, contacts=[EVA, {"mobile": "346111"}]))
    assert result.value["sent"] == 2
    assert len(sandbox.contacts(group)) == 4
    assert sandbox.count("addcontactlist") == 1


@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "garbled", "html", "http_500"])
def test_an_unclear_list_is_never_repeated(run_task: Run, sandbox: Sandbox, group: str, kind: str) -> None:
    sandbox.fail(kind, methods="addcontactlist")
    result = run_task(AfilnetAddContactListOperator(task_id="t", group_id=group, contacts=[EVA], retries=5))
    assert result.state == "failed"
    assert isinstance(result.error.__cause__, exceptions.AfilnetOutcomeUnknownError)


@pytest.mark.parametrize("contacts", ["[{'mobile': '1'}]", b"1", {"mobile": "1"}, [], [5], None])
def test_what_is_no_list_of_contacts_is_not_sent(run_task: Run, sandbox: Sandbox, group: str, contacts: Any) -> None:
    result = run_task(AfilnetAddContactListOperator(task_id="t", group_id=group, contacts=contacts))
    assert result.state == "failed"
    assert sandbox.calls == []


# --- changing and deleting -------------------------------------------------------------------------------------------


def test_modify(run_task: Run, sandbox: Sandbox, group: str) -> None:
    contact_id = sandbox.contacts(group)[1]["idcontact"]
    task = AfilnetModifyContactOperator(
        task_id="t", group_id=group, contact_id=contact_id, contact={**BEN, "name": "{{ run_id }}"}
    )
    assert run_task(task).state == "success"
    assert sandbox.contacts(group)[1]["name"] == "manual__t"


@pytest.mark.parametrize("code", ["NOT_ACCESS_TO_GROUP", "NOT_ACCESS_TO_CONTACT"])
def test_delete_and_a_missing_contact(run_task: Run, sandbox: Sandbox, group: str, code: str) -> None:
    sandbox.dialect = Dialect(missing_contact_code=code)
    contact_id = sandbox.contacts(group)[1]["idcontact"]

    def delete(**options: Any) -> Any:
        return run_task(
            AfilnetDeleteContactOperator(
                **{"task_id": "t", "group_id": group, "contact_id": contact_id, "retries": 1, **options}
            )
        )

    assert delete().state == "success"
    assert len(sandbox.contacts(group)) == 1
    result = delete()
    assert result.state == "failed"
    assert f"contact {contact_id} is not in it" in str(result.error) or code == "NOT_ACCESS_TO_CONTACT"
    assert delete(ignore_missing=True).state == "success"
    assert delete(ignore_missing="true").state == "success"
    assert delete(ignore_missing="yes").state == "failed"
    assert delete(group_id="555", ignore_missing=True).state == "failed"


def test_ignore_missing_does_not_ignore_a_code_nobody_knows(run_task: Run, sandbox: Sandbox, group: str) -> None:
    sandbox.dialect = Dialect(missing_contact_code="CONTACT_BUSY")
    task = AfilnetDeleteContactOperator(task_id="t", group_id=group, contact_id="999", ignore_missing=True)
    assert run_task(task).state == "failed"
