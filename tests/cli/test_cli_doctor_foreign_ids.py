"""``creategroup`` may answer anything: what is not proven to be the new group's id is neither written nor deleted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from afilnet_process import account, afilnet
from answering_proxy import answering_proxy
from doctor_visit import Visited

from airflow_provider_afilnet.sandbox import Sandbox

PEOPLE = [{"mobile": f"3460011122{number}", "name": f"Ana {number}"} for number in range(5)]
WRITES = {
    "addcontact",
    "addcontactlist",
    "modifycontact",
    "deletecontact",
    "addcolumntogroup",
    "deletecolumnfromgroup",
    "assigncountrytogroup",
    "deletegroup",
}


def visit_at(url: str, box: Sandbox, folder: Path, *arguments: str) -> Visited:
    env = account(url, box.user, box.password)
    options = ("--yes", "--report", folder, "--longest-list", "20", "--settle", "0.5")
    ended = afilnet("doctor", *options, *arguments, env=env)
    return Visited(ended, json.loads((folder / "afilnet-doctor.json").read_text()))


def state(box: Sandbox, group: str) -> tuple[Any, ...]:
    return box.columns(group), box.contacts(group), box.country(group)


def written(box: Sandbox, group: str) -> list[str]:
    """The methods that were called to change this group."""
    return [call.method for call in box.calls if call.method in WRITES and call.params.get("idgroup") == group]


def check_told(found: Visited, *names: str) -> None:
    """The visit failed, says which groups it left, and that the answer is no id."""
    assert found.ended.code == 1, found.ended.said
    assert len(found.report["left_behind"]) == len(names)
    for name, sentence in zip(names, found.report["left_behind"], strict=True):
        assert f"a group named {name!r}, whose id creategroup did not answer" in sentence
        assert sentence in found.ended.out
    assert found.value("creategroup_answer") == "foreign"
    assert "it answers text, and that is not the new group's id" in found.finding("creategroup_answer")["answer"]
    assert found.report["api_facts"]["creategroup_returns_id"] is False


@pytest.mark.parametrize("columns", [["mobile", "name"], ["mobile", "doctorone"], ["mobile"]])
def test_the_id_of_a_group_with_people(box: Sandbox, tmp_path: Path, columns: list[str]) -> None:
    people = [{name: person[name] for name in columns if name in person} for person in PEOPLE]
    group = box.create_group("people", "mobile", columns, people)
    before = state(box, group)
    with answering_proxy(box, "creategroup", lambda _: group) as url:
        found = visit_at(url, box, tmp_path, "--create")
    assert state(box, group) == before
    assert len(box.contacts(group)) == 5
    assert written(box, group) == []
    (made,) = (one for one in box.groups() if one["id"] != group)
    check_told(found, made["name"])
    assert written(box, made["id"]) == []


@pytest.mark.parametrize("columns", [["mobile", "name"], ["mobile", "doctorone"]])
def test_the_id_of_an_empty_group_of_somebody(box: Sandbox, tmp_path: Path, columns: list[str]) -> None:
    """That it is empty proves nothing: only the new group has the visit's own column."""
    group = box.create_group("for later", "mobile", columns)
    with answering_proxy(box, "creategroup", lambda _: group) as url:
        found = visit_at(url, box, tmp_path, "--create")
    assert state(box, group) == (columns, [], None)
    assert written(box, group) == []
    (made,) = (one for one in box.groups() if one["id"] != group)
    check_told(found, made["name"])


@pytest.mark.parametrize("answer", ["the group given", "the group of people"])
def test_beside_a_group_of_the_user(box: Sandbox, tmp_path: Path, answer: str) -> None:
    people = box.create_group("people", "mobile", ["mobile", "name"], PEOPLE)
    given = box.create_group("empty", "mobile", ["mobile", "name"])
    before = state(box, people)
    with answering_proxy(box, "creategroup", lambda _: given if answer == "the group given" else people) as url:
        found = visit_at(url, box, tmp_path, "--create", "--group", given, "--keep-country")
    assert state(box, people) == before
    assert state(box, given) == (["mobile", "name"], [], None)
    assert written(box, people) == []
    assert "deletegroup" not in written(box, given)
    (made,) = (one for one in box.groups() if one["id"] not in (people, given))
    check_told(found, made["name"])
    # What the given group told stays found.
    assert found.report["api_facts"] == {
        "bulk_dedupes": False,
        "modify_merges": False,
        "creategroup_returns_id": False,
    }


def test_one_id_for_both_groups(box: Sandbox, tmp_path: Path) -> None:
    """The first answer is proven, the second one the same: the second group is not the first."""
    answered: list[Any] = []

    def first(result: Any) -> Any:
        answered.append(result)
        return answered[0]

    people = box.create_group("people", "mobile", ["mobile", "name"], PEOPLE)
    before = state(box, people)
    with answering_proxy(box, "creategroup", first) as url:
        found = visit_at(url, box, tmp_path, "--create")
    assert len(answered) == 2
    assert state(box, people) == before
    (made,) = (one for one in box.groups() if one["id"] != people)
    assert made["id"] == answered[1]
    assert written(box, made["id"]) == []
    check_told(found, made["name"])


def test_an_id_of_no_group(box: Sandbox, tmp_path: Path) -> None:
    with answering_proxy(box, "creategroup", lambda _: "7") as url:
        found = visit_at(url, box, tmp_path, "--create")
    (made,) = box.groups()
    check_told(found, made["name"])
    assert written(box, "7") == []


def test_a_new_group_that_is_not_proven_empty(box: Sandbox, tmp_path: Path) -> None:
    """Null proves nothing, neither that the group is empty nor that the id is wrong."""
    with answering_proxy(box, "getcontacts", lambda _: None) as url:
        found = visit_at(url, box, tmp_path, "--create")
    (made,) = box.groups()
    assert found.ended.code == 1
    assert written(box, made["id"]) == []
    (sentence,) = found.report["left_behind"]
    assert f"a group named {made['name']!r}, whose id could not be proven" in sentence
    assert f"afilnet doctor --group {made['id']}" in found.ended.out
    assert found.value("creategroup_answer") == "unknown"
    assert found.report["api_facts"] == {}


def test_a_new_group_that_somebody_joins(box: Sandbox, tmp_path: Path) -> None:
    """Under way somebody else's contact comes into the new group: it is not deleted with the group."""
    joined: list[str] = []

    def join(result: Any) -> Any:
        group = box.groups()[0]["id"]
        if box.contacts(group) and not joined:
            joined.append(group)
            return [*result, {"idcontact": "4711", "mobile": "34600111222"}]
        return result

    with answering_proxy(box, "getcontacts", join) as url:
        found = visit_at(url, box, tmp_path, "--create")
    assert joined
    assert [one["id"] for one in box.groups()] == joined
    assert found.ended.code == 1
    assert "deletegroup" not in written(box, joined[0])
    assert box.contacts(joined[0]) == []
    (sentence,) = found.report["left_behind"]
    assert "holds contacts that are not the doctor's" in sentence


def test_a_deleted_group_whose_id_is_still_known(box: Sandbox, tmp_path: Path) -> None:
    """It may be there still, or its id may mean another group by now: it is not deleted again."""
    given = box.create_group("empty", "mobile", ["mobile"])
    asked: list[Any] = []
    with answering_proxy(box, "deletegroup", asked.append, swallow=True) as url:
        found = visit_at(url, box, tmp_path, "--create", "--group", given, "--keep-country")
    assert len(asked) == 1
    assert found.ended.code == 1
    (made,) = (one for one in box.groups() if one["id"] != given)
    (sentence,) = found.report["left_behind"]
    assert f"a group named {made['name']!r}, which may still be there" in sentence
    assert found.value("group_delete") == "unknown"
