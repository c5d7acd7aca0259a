"""Every fault at the one call of every plain operator: done once, or red in words, and a later healthy run is safe.

What a healthy run does to an equal sandbox is the measure: after a fault, and all the tries that Airflow gives the
task, the sandbox is as after that run, or as before it.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

import pytest
from refresh.matrix_cases import LONG_WAIT, NEW, VARIANTS, person
from style_extras import style_extras
from task_logs import PASSWORD

from airflow_provider_afilnet.api.settings import STYLES
from airflow_provider_afilnet.exceptions import AfilnetError
from airflow_provider_afilnet.hooks.afilnet import AfilnetHook
from airflow_provider_afilnet.operators.contacts import (
    AfilnetAddContactListOperator,
    AfilnetAddContactOperator,
    AfilnetDeleteContactOperator,
    AfilnetGetContactOperator,
    AfilnetGetContactsOperator,
    AfilnetModifyContactOperator,
)
from airflow_provider_afilnet.operators.groups import (
    AfilnetAddGroupColumnOperator,
    AfilnetAssignCountryOperator,
    AfilnetCreateGroupOperator,
    AfilnetDeleteGroupColumnOperator,
    AfilnetDeleteGroupOperator,
    AfilnetGetGroupColumnsOperator,
)
from airflow_provider_afilnet.sandbox import Dialect, Sandbox
from airflow_provider_afilnet.sandbox.faults import KINDS

Run = Callable[..., Any]

RETRIES = 2
TIMEOUT = 0.15
STORED = [person(number) for number in range(8, 14)]
ADDED = [person(number) for number in NEW[:5]]
CHANGED = person(9, "Zoraida Nueva")

UNCLEAR = re.compile(
    r"may have been applied|may have (?:added|deleted) it|pending:|earlier try|was created, but", re.IGNORECASE
)
"""Red, and something was done or may have been: the error must say so in one of these words."""

WHAT_NOW = re.compile(r"Afilnet panel|if_exists='skip'|ignore_missing=True")
"""A healthy run that is red all the same must say what to look at or to set."""

SPECIFIC = re.compile(
    r"\b(?:add|assign|create|delete|get|modify)(?:balance|contact|country|column|group)\w*|contact of the group"
)

SHOWN_ONLY = frozenset({"capped_read", "stale_read", "hide"})
"""A plain read returns what the service shows. Only a refresh, which knows what there must be, can see such a lie."""

REPORTED_ONLY = ("lose_row", "CONTACT_EXISTS")
"""A plain addition believes the service, which says here that a contact is there. Only a refresh reads back."""


@dataclass(frozen=True)
class Deed:
    """An operator, and the one method that a fault is to hit."""

    method: str
    operator: Any
    arguments: Mapping[str, Any]
    repeatable: bool = True
    """Whether a user may run it again after an unclear end, as far as its error says."""


GROUP: dict[str, Any] = {"group_id": "{{ params.group }}"}
ONE: dict[str, Any] = {**GROUP, "contact_id": "{{ params.contact }}"}
NEW_GROUP = {"name": "spring", "group_type": "mobile", "fields": "mobile,name"}

DEEDS: dict[str, Deed] = {
    "creategroup": Deed("creategroup", AfilnetCreateGroupOperator, NEW_GROUP, repeatable=False),
    "creategroup, remembered": Deed("creategroup", AfilnetCreateGroupOperator, {**NEW_GROUP, "remember_as": "v"}),
    "getgroupcolumns": Deed("getgroupcolumns", AfilnetGetGroupColumnsOperator, GROUP),
    "addcolumntogroup": Deed("addcolumntogroup", AfilnetAddGroupColumnOperator, {**GROUP, "field": "city"}),
    "deletecolumnfromgroup": Deed(
        "deletecolumnfromgroup", AfilnetDeleteGroupColumnOperator, {**GROUP, "field": "mail"}
    ),
    "deletegroup": Deed("deletegroup", AfilnetDeleteGroupOperator, GROUP),
    "deletegroup, ignore": Deed("deletegroup", AfilnetDeleteGroupOperator, {**GROUP, "ignore_missing": True}),
    "assigncountrytogroup": Deed("assigncountrytogroup", AfilnetAssignCountryOperator, {**GROUP, "country": "Spain"}),
    "getcontacts": Deed("getcontacts", AfilnetGetContactsOperator, GROUP),
    "getcontact": Deed("getcontact", AfilnetGetContactOperator, ONE),
    "addcontact": Deed("addcontact", AfilnetAddContactOperator, {**GROUP, "contact": ADDED[0]}),
    "addcontact, skip": Deed(
        "addcontact", AfilnetAddContactOperator, {**GROUP, "contact": ADDED[0], "if_exists": "skip"}
    ),
    "addcontact, update": Deed(
        "addcontact", AfilnetAddContactOperator, {**GROUP, "contact": ADDED[0], "if_exists": "update"}
    ),
    "addcontactlist": Deed(
        "addcontactlist", AfilnetAddContactListOperator, {**GROUP, "contacts": ADDED}, repeatable=False
    ),
    "modifycontact": Deed("modifycontact", AfilnetModifyContactOperator, {**ONE, "contact": CHANGED}),
    "deletecontact": Deed("deletecontact", AfilnetDeleteContactOperator, ONE),
    "deletecontact, ignore": Deed("deletecontact", AfilnetDeleteContactOperator, {**ONE, "ignore_missing": True}),
}


def faults_of(method: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for kind, variants in VARIANTS.items():
        if method in KINDS[kind].methods:
            for variant in variants:
                yield kind, variant.detail


class Trial:
    """One sandbox, one group, one deed."""

    def __init__(
        self, run_task: Run, monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox, deed: Deed, style: str
    ) -> None:
        self.sandbox = sandbox
        self.deed = deed
        self.run_task = run_task
        self.variables: dict[str, str] = {}
        group = sandbox.create_group("people", "mobile", ["mobile", "name", "mail"], STORED)
        self.params = {"group": group, "contact": sandbox.contacts(group)[1]["idcontact"]}
        connection = {
            "conn_type": "afilnet",
            "host": sandbox.url,
            "login": sandbox.user,
            "password": sandbox.password,
            "extra": {"max_requests_per_second": 0, "timeout": TIMEOUT, **style_extras(sandbox, style)},
        }
        monkeypatch.setenv("AIRFLOW_CONN_AFILNET_DEFAULT", json.dumps(connection))

    def run(self) -> Any:
        """The task with all the tries that Airflow gives it; the result of the last one."""
        for try_number in range(1, RETRIES + 2):
            task = self.deed.operator(task_id="t", retries=RETRIES, params=self.params, **self.deed.arguments)
            result = self.run_task(task, try_number=try_number, variables=self.variables)
            if result.state != "up_for_retry":
                return result
        raise AssertionError("up for a retry after the last try")

    def state(self) -> list[Any]:
        """All that the sandbox holds."""
        return [
            (group, self.sandbox.country(group["id"]), self.sandbox.contacts(group["id"]))
            for group in self.sandbox.groups()
        ]


@pytest.fixture
def make_trial(run_task: Run, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Trial]:
    return lambda sandbox, deed, style="post": Trial(run_task, monkeypatch, sandbox, deed, style)


def fresh() -> Sandbox:
    return Sandbox(user="demo", password=PASSWORD)


_TALLY = Counter[str]()


@pytest.mark.parametrize("name", DEEDS)
def test_every_fault_at_the_first_call_of(
    name: str, make_trial: Callable[..., Trial], capsys: pytest.CaptureFixture[str]
) -> None:
    """The styles take turns, each deed beginning with another one, so that each kind of fault meets every style."""
    deed = DEEDS[name]
    styles = islice(cycle(STYLES), list(DEEDS).index(name), None)
    with fresh() as sandbox:
        trial = make_trial(sandbox, deed)
        before = trial.state()
        healthy = trial.run()
        assert healthy.state == "success", healthy.error
        done = trial.state()
    states, wrong = Counter[str](), []
    for (kind, detail), style in zip(faults_of(deed.method), styles, strict=False):
        with fresh() as sandbox:
            trial = make_trial(sandbox, deed, style)
            fault = sandbox.fail(kind, methods=deed.method, count=1, **detail)
            state, troubles = _judged(trial, kind, detail, before, done, healthy.value)
            if not fault.hits:
                troubles.append("the fault hit no call")
            if {call.style for call in sandbox.calls} != {style}:
                troubles.append("a call went another way")
        states[state] += 1
        wrong += [f"{style}, {kind} {dict(detail)}: {trouble}" for trouble in troubles]
    _TALLY.update(states)
    shown = ", ".join(f"{number} {state}" for state, number in states.most_common())
    with capsys.disabled():
        print(f"\n{states.total()} faults at {name}: {shown}", end="")
    assert not wrong, "\n".join([f"{len(wrong)} things are wrong", *wrong])


def _judged(
    trial: Trial, kind: str, detail: Mapping[str, Any], before: list[Any], done: list[Any], value: Any
) -> tuple[str, list[str]]:
    """How the task ended, and what is wrong with that or with the healthy run after it."""
    wrong: list[str] = []
    result = trial.run()
    _let_it_land(kind, detail)
    trial.sandbox.clear_faults()
    after, message = trial.state(), str(result.error or "")
    believed = kind in REPORTED_ONLY or (detail.get("code") in REPORTED_ONLY and trial.deed.method == "addcontact")
    if result.state == "success":
        if after != done and not believed:
            wrong.append(f"green, and not done, or done twice: {after}")
        if trial.deed.method.startswith("get") and result.value != value and kind not in SHOWN_ONLY:
            wrong.append("green, and it returned something else")
    else:
        if not SPECIFIC.search(message):
            wrong.append(f"red without saying what: {message!r}")
        if after not in (before, done):
            wrong.append(f"red, and neither as before nor as asked: {after}")
        elif after != before and not UNCLEAR.search(message):
            wrong.append(f"red, and done all the same, and the error does not say so: {message!r}")
        if not trial.deed.repeatable:
            if UNCLEAR.search(message) and not WHAT_NOW.search(message):
                wrong.append(f"red and not to be run again, and the error does not say so: {message!r}")
            return result.state, wrong
    if result.state == "success" and after == done and not trial.deed.method.startswith("get"):
        return result.state, wrong
    again = trial.run()
    if again.state == "success":
        # What was lost took an id with it.
        if trial.state() != done and not (believed and _without_ids(trial.state()) == _without_ids(done)):
            wrong.append(f"the healthy run is green, and not done, or done twice: {trial.state()}")
    elif trial.state() != after or not WHAT_NOW.search(str(again.error)):
        wrong.append(f"the healthy run is red and does not say what to do: {again.error} (first: {message})")
    elif after == before and "pending:" not in str(again.error):
        wrong.append(f"the healthy run is red although nothing was done before: {again.error} (first: {message})")
    return result.state, wrong


def _without_ids(state: list[Any]) -> list[Any]:
    return [
        (*rest, [{name: value for name, value in contact.items() if name != "idcontact"} for contact in contacts])
        for *rest, contacts in state
    ]


def _let_it_land(kind: str, detail: Mapping[str, Any]) -> None:
    """A write that outlives its call is applied in the end."""
    if kind in ("late", "latency") and detail["seconds"] > TIMEOUT:
        time.sleep(LONG_WAIT)


@pytest.mark.parametrize(("kind", "detail"), faults_of("getbalance"))
def test_every_fault_at_the_balance(
    sandbox: Sandbox, afilnet_conn: Callable[..., None], kind: str, detail: Mapping[str, Any]
) -> None:
    """No operator reads it; the hook's connection test is one sentence whatever happens."""
    afilnet_conn(extra={"timeout": TIMEOUT})
    fault = sandbox.fail(kind, methods="getbalance", **detail)
    with AfilnetHook() as hook:
        message = ""
        try:
            assert hook.get_balance() == 25.5
        except AfilnetError as error:
            message = str(error)
        red = bool(message)
        assert ("getbalance" in message) is red
        works, sentence = hook.test_connection()
        assert fault.hits == 2
        assert works is not red
        assert sentence.endswith(".")
        assert PASSWORD not in sentence
        fault.remove()
        assert hook.get_balance() == 25.5
        assert hook.test_connection() == (True, f"Signed in at {sandbox.url}; the account has 25.5 credits.")
    _TALLY["red" if red else "success"] += 1


def test_every_method_and_every_fault_is_tried(capsys: pytest.CaptureFixture[str]) -> None:
    from airflow_provider_afilnet.api.methods import METHODS

    assert {deed.method for deed in DEEDS.values()} | {"getbalance"} == set(METHODS)
    assert {kind for method in METHODS for kind, _ in faults_of(method)} == set(KINDS)
    with capsys.disabled():
        print(f"\nthe operators' fault matrix tried {_TALLY.total()} cases: {dict(_TALLY)}", end="")


@pytest.mark.parametrize("bulk_dedupes", [False, True])
def test_a_list_is_never_sent_twice_by_itself(make_trial: Callable[..., Trial], bulk_dedupes: bool) -> None:
    """Where the service does not leave out who is there, a retry after a lost answer would add everybody again."""
    for kind, detail in faults_of("addcontactlist"):
        with fresh() as sandbox:
            sandbox.dialect = Dialect(bulk_dedupes=bulk_dedupes)
            trial = make_trial(sandbox, DEEDS["addcontactlist"])
            sandbox.fail(kind, methods="addcontactlist", count=1, **detail)
            trial.run()
            _let_it_land(kind, detail)
            keys = Counter(contact["mobile"] for contact in sandbox.contacts(trial.params["group"]))
            assert max(keys.values()) == 1, (kind, detail)
