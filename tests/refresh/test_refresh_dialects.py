"""The same refresh at every Afilnet that the contract leaves possible: shapes of answers, and facts known or not."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import fields
from typing import Any

import pytest
from matrix_dialects import OTHER_STYLES, Case, cases
from refresh_world import MODES, Ended, World, bag, expected, people, person, phone, shown

from airflow_provider_afilnet.api.client import AfilnetClient
from airflow_provider_afilnet.sandbox.dialect import Dialect, dialects_of, stored_values

SHAPES = [shape for shape in dialects_of("contacts") if shape not in ("no-ids", "positional")]


def _check(world: World, **settings: Any) -> None:
    before = [person(n, city="" if n % 3 else "Old town") for n in range(30)]
    rows: list[dict[str, Any]] = [person(n, name=f"New {n}", city="") for n in range(5, 20)] + people(*range(90, 105))
    world.make(before)
    for mode, size in (("insert", 45), ("update", 45), ("upsert", 45), ("mirror", 30), ("remove", 0)):
        stored = world.stored()
        want, counts = expected(stored, rows, mode)
        how: dict[str, Any] = {"mode": mode, "max_deletes": 1.0, "settings": settings}
        assert shown(world.run(rows, **how)) == counts, mode
        assert world.now() == want, mode
        assert len(world.stored()) == size
        if mode != "remove":
            world.quiet(rows, **how)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("modify_merges", [True, False])
@pytest.mark.parametrize("bulk_dedupes", [True, False])
@pytest.mark.parametrize("contacts", SHAPES)
def test_every_shape_and_fact(
    world: World, contacts: Any, bulk_dedupes: bool, modify_merges: bool, known: bool
) -> None:
    world.sandbox.dialect = Dialect(contacts=contacts, bulk_dedupes=bulk_dedupes, modify_merges=modify_merges)
    facts = {"bulk_dedupes": bulk_dedupes, "modify_merges": modify_merges} if known else {}
    _check(world, facts=facts)


# --- every dialect in every mode -------------------------------------------------------------------------------------

CASES = list(cases())


def _before(value: str) -> list[dict[str, str]]:
    return [person(number, name=value) for number in range(12)]


def _rows(value: str) -> list[dict[str, Any]]:
    """Four are equal, four have another city, four are not there, four are new."""
    changed = [person(number, name=value, city="Soria") for number in range(4, 8)]
    return [*_before(value)[:4], *changed, *(person(number, name=value) for number in range(20, 24))]


def _as_made(world: World, case: Case, mode: str) -> Counter[str]:
    """What a server of this dialect holds after a green run: who was written is stored as it makes of it."""
    before = _before(case.value)
    contacts = [json.loads(text) for text in expected(before, _rows(case.value), mode)[0].elements()]
    country = case.country and case.country.upper()
    return bag(
        contact
        if contact in before
        else stored_values(contact, world.sandbox.dialect, key_field="mobile", country=country)
        for contact in contacts
    )


def _people(world: World) -> Counter[str]:
    """Who is there, however the phone is written."""
    return Counter(contact["mobile"][-9:] for contact in world.stored())


@pytest.mark.parametrize("bulk_dedupes", [False, True])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_dialect_in_every_mode(world: World, case: Case, bulk_dedupes: bool) -> None:
    rows, before = _rows(case.value), _before(case.value)
    for mode in MODES:
        world.sandbox.dialect = Dialect(**case.dialect, bulk_dedupes=bulk_dedupes)
        world.make(before)
        if case.country:
            with AfilnetClient(world.settings()) as client:
                client.call("assigncountrytogroup", idgroup=world.group, countryiso3=case.country)
        fault = world.sandbox.fail(**case.fault) if case.fault else None
        how: dict[str, Any] = {"mode": mode, "max_deletes": 1.0, "settle": 0.1, "batch_size": 3, **case.options}
        first = world.ends(rows, **how)
        if fault:
            assert bool(fault.hits) is (mode in ("mirror", "remove"))
            fault.remove()
        assert max(_people(world).values()) == 1, f"{mode}: somebody is there twice"
        TALLY["red" if first.error else "green"] += 1
        says, says_again = case.red.get(mode, (None, None))
        _check_end(first, says, mode)
        if first.green:
            assert world.now() == _as_made(world, case, mode), mode
        elif mode != "remove":
            # Nobody is lost who is there and wanted.
            assert {row["mobile"][-9:] for row in rows[:8]} <= set(_people(world)), mode
        world.sandbox.clear_calls()
        _check_end(world.ends(rows, **how), says_again, f"{mode}, again")
        assert max(_people(world).values()) == 1, f"{mode}, again: somebody is there twice"
        if says_again is None:
            assert world.sandbox.writes == 0, mode


def _check_end(ended: Ended, says: str | None, what: str) -> None:
    if says is None:
        assert ended.green, f"{what}: {ended.message}"
    else:
        assert re.search(says, ended.message), f"{what}: {ended.message or 'green'}"


def test_who_cannot_be_read_back_is_not_added_by_every_run(world: World) -> None:
    """Few unreadable contacts do not stop a run; a value with a comma keeps ``addcontact`` from finding the person."""
    world.sandbox.dialect = Dialect(stored_key="national")
    world.make(people(*range(150)))
    with AfilnetClient(world.settings()) as client:
        client.call("assigncountrytogroup", idgroup=world.group, countryiso3="esp")
    rows = [*people(*range(150)), person(200, name="Ana, la de Soria")]
    for _ in range(3):
        assert not world.ends(rows, settle=0.1).green
        assert _people(world)[phone(200)[-9:]] == 1


def test_every_field_and_value_of_a_dialect_has_a_case(capsys: pytest.CaptureFixture[str]) -> None:
    tried = {(name, value) for case in CASES for name, value in case.dialect.items()}
    for field in fields(Dialect):
        if field.name not in (*OTHER_STYLES, "bulk_dedupes"):
            values = {value for name, value in tried if name == field.name}
            assert values >= set(dialects_of(field.name) or [field.default]), field.name
            assert len(values) > 1, field.name
    with capsys.disabled():
        print(f"\nthe dialect matrix tried {TALLY.total()} runs: {dict(TALLY)}", end="")


TALLY = Counter[str]()
