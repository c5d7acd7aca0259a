"""The doctor against every dialect: the test knows the truth, the doctor must find it, and leave nothing."""

from __future__ import annotations

import random
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from doctor_visit import FOREIGN, NO_ID, NO_TRUE_IDS, Visited, changed_values, compare, true_facts, truth, visit

from airflow_provider_afilnet.sandbox import Dialect, Sandbox
from airflow_provider_afilnet.sandbox.dialect import dialects_of

ALONE = [
    (field.name, value)
    for field in fields(Dialect)
    for value in (dialects_of(field.name) or ("NOT_ACCESS_TO_CONTACT", "CONTACT_NOT_FOUND"))
]
FREE = {"missing_contact_code": ("NOT_ACCESS_TO_GROUP", "NOT_ACCESS_TO_CONTACT", "CONTACT_NOT_FOUND")}


def any_dialect(seed: int) -> Dialect:
    chosen = random.Random(seed)
    return Dialect(
        **{field.name: chosen.choice(dialects_of(field.name) or FREE[field.name]) for field in fields(Dialect)}
    )


@pytest.mark.parametrize(("field", "value"), ALONE, ids=[f"{field}={value}" for field, value in ALONE])
def test_each_choice_alone(box: Sandbox, tmp_path: Path, field: str, value: Any) -> None:
    check(box, tmp_path, replace(Dialect(), **{field: value}))


@pytest.mark.parametrize("seed", range(12))
def test_any_combination(box: Sandbox, tmp_path: Path, seed: int) -> None:
    check(box, tmp_path, any_dialect(seed))


@pytest.mark.parametrize("style", ["get", "basic", "basic-get", "soap", "json"])
def test_each_api_style(box: Sandbox, tmp_path: Path, style: str) -> None:
    box.add_client(box.user, "an-id", "an-0auth-secret")
    addresses = {
        "soap": {"wsdl_url": f"{box.url}/soap?wsdl"},
        "json": {
            "json_url": f"{box.url}/api/json/",
            "token_url": f"{box.url}/oauth/token",
            "client_id": "an-id",
            "client_secret": "an-0auth-secret",
        },
    }
    found = visit(box, tmp_path, "--create", "--longest-list", "40", api_style=style, **addresses.get(style, {}))
    assert found.ended.code == 0, found.ended.said
    assert "an-0auth-secret" not in found.ended.said
    expected = truth(box.dialect) | {"soap": "works" if style == "soap" else "unknown"}
    expected |= {"oauth": "works" if style == "json" else "unknown"}
    # SOAP can only call what its WSDL lists; the GET styles have a limit of their own.
    soap_only = ("status_words", "unknown_method", "unknown_class") if style == "soap" else ()
    for question in ("list_length", "value_length", *soap_only):
        del expected[question]
    compare(found, expected)
    longest, length = found.value("list_length"), found.value("value_length")
    if "get" in style:
        assert "GET request" in longest["why"] or longest["accepted"] == 40
        assert 2000 < length["stored"] < 4000
    else:
        assert (longest["accepted"], length["stored"]) == (40, 5000)
    assert box.groups() == []
    assert {call.style for call in box.calls} == {style}


def check(box: Sandbox, folder: Path, dialect: Dialect) -> None:
    box.dialect = dialect
    foreign = box.create_group("foreign", "mobile", ["mobile", "name"], FOREIGN)
    before = (box.columns(foreign), box.contacts(foreign), box.country(foreign))
    if dialect.new_id in NO_ID:
        found = check_without_group_ids(box, folder, dialect, foreign)
    else:
        found = check_with_group_ids(box, folder, dialect, foreign)
    assert (box.columns(foreign), box.contacts(foreign), box.country(foreign)) == before
    assert {call.params.get("idgroup") for call in box.calls} & {foreign} == set()
    assert found.report["left_behind"] == [] or "left behind" in found.ended.out


def check_with_group_ids(box: Sandbox, folder: Path, dialect: Dialect, foreign: str) -> Visited:
    found = visit(box, folder, "--create")
    assert found.ended.code == 0, found.ended.said
    compare(found, truth(dialect) | {"creategroup_answer": dialect.new_id, "group_delete": "NOT_ACCESS_TO_GROUP"})
    compare(found, {"email_case": "different"})
    values = found.value("stored_values")
    assert {kind: what for kind, what in values.items() if what != "kept"} == changed_values(dialect)
    assert found.report["api_facts"] == true_facts(dialect) | {"creategroup_returns_id": True}
    assert [group["id"] for group in box.groups()] == [foreign]
    return found


def check_without_group_ids(box: Sandbox, folder: Path, dialect: Dialect, foreign: str) -> Visited:
    """The id of the new group is nowhere to be had, so the user looks it up and the doctor comes again."""
    first = visit(box, folder / "first", "--create")
    assert first.ended.code == 1
    compare(first, {"creategroup_answer": {"none": "null"}.get(dialect.new_id, dialect.new_id)})
    assert first.report["api_facts"] == {"creategroup_returns_id": False}
    (made,) = (group for group in box.groups() if group["id"] != foreign)
    assert any(made["name"] in sentence for sentence in first.report["left_behind"])
    assert "afilnet doctor --group" in first.ended.out

    second = visit(box, folder / "second", "--group", made["id"])
    contacts = box.contacts(made["id"])
    if dialect.contacts in NO_TRUE_IDS:
        # Nobody tells an id, so one fictional contact is all that is added, and it cannot be deleted.
        assert second.ended.code == 1
        assert [contact["mobile"][-10:] for contact in contacts] == ["7700900000"]
        assert "1 fictional contacts" in second.report["left_behind"][0]
        asked = ("columns_form", "contacts_form", "empty_values", "addcontact_answer", "status_words", "empty_group")
        compare(second, {question: truth(dialect)[question] for question in asked})
        assert second.report["api_facts"] == {}
        assert second.value("modify_merges") == second.value("bulk_existing") == "unknown"
        assert "neither addcontact nor getcontacts told an id" in second.finding("bulk_existing")["answer"]
        return second
    assert second.ended.code == 0, second.ended.said
    compare(second, truth(dialect))
    assert second.report["api_facts"] == true_facts(dialect)
    assert contacts == []
    assert box.columns(made["id"]) == ["mobile"]
    return second
