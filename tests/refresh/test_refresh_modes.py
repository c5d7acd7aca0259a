"""Every mode, against a model: the group afterwards, the counts, and a repeat that does nothing."""

from __future__ import annotations

from typing import Any

import pytest
from refresh_world import MODES, World, bag, expected, forty_changed, forty_people, people, person, phone, shown, table

from airflow_provider_afilnet.refresh.errors import AfilnetGuardrailError, AfilnetLyingReadError
from airflow_provider_afilnet.refresh.rows import DictRows
from airflow_provider_afilnet.sandbox.dialect import Dialect


@pytest.mark.parametrize("nulls", ["keep", "clear", {"city": "clear"}, {"City": "clear", "name": "keep"}])
@pytest.mark.parametrize("mode", MODES)
def test_a_mode_does_what_the_model_says_and_its_repeat_nothing(world: World, mode: str, nulls: Any) -> None:
    world.make(forty_people())
    clear = () if nulls == "keep" else ("city",)
    want, counts = expected(forty_people(), forty_changed(), mode, clear=clear)
    result = world.run(forty_changed(), mode=mode, nulls=nulls, max_deletes=40)
    assert world.now() == want
    assert shown(result) == counts
    assert result.rounds == 1
    world.quiet(forty_changed(), mode=mode, nulls=nulls, max_deletes=40)


def test_ids_of_contacts_that_stay_do_not_change(world: World) -> None:
    world.make(forty_people())
    ids = world.ids()
    world.run(forty_changed(), mode="upsert")
    assert ids.items() <= world.ids().items()


@pytest.mark.parametrize(
    ("size", "keep", "limit", "fits"),
    [
        (100, 90, 0.1, True),
        (100, 89, 0.1, False),
        (20, 11, 0.1, True),  # a fraction never trips below 10 contacts
        (20, 10, 0.1, False),
        (20, 18, 2, True),  # a count does
        (20, 17, 2, False),
        (20, 19, 0, False),
        (20, 1, 1.0, True),
        (20, 1, "1.0", True),
        (20, 17, "2", False),
    ],
)
def test_max_deletes(world: World, size: int, keep: int, limit: Any, fits: bool) -> None:
    world.make(people(*range(size)))
    rows = people(*range(keep))
    if fits:
        world.run(rows, mode="mirror", max_deletes=limit)
        assert world.now() == bag(rows)
    else:
        message = world.refused(rows, mode="mirror", max_deletes=limit)
        assert f"{size - keep} contacts of {size}" in message
        assert "raise max_deletes" in message


def test_max_deletes_counts_listed_people_and_replacements_too(world: World) -> None:
    world.make(people(*range(30)))
    assert "10 listed" in world.refused(people(*range(10)), mode="remove")
    changed = people(*range(10), name="a,b")
    assert "10 replaced" in world.refused(changed, unsafe_values="replace")


def test_an_empty_source_must_be_allowed(world: World) -> None:
    world.make(people(*range(5)))
    for mode in MODES:
        assert "allow_empty=True" in world.refused([], mode=mode)
    assert "max_deletes" in world.refused([], mode="mirror", allow_empty=True, max_deletes=4)
    result = world.run([], mode="upsert", allow_empty=True)
    assert result.source_rows == 0
    world.run([], mode="mirror", allow_empty=True)
    assert world.stored() == []


@pytest.mark.parametrize("mode", MODES)
def test_a_dry_run_writes_nothing_and_foretells_the_real_run(world: World, mode: str) -> None:
    world.make(forty_people())
    how: dict[str, Any] = {"mode": mode, "max_deletes": 40, "suppress": [phone(2), phone(30)]}
    world.sandbox.clear_calls()
    dry = world.run(forty_changed(), dry_run=True, **how)
    assert world.sandbox.writes == 0
    assert world.now() == bag(forty_people())
    real = world.run(forty_changed(), **how)
    assert dry.plan_digest == real.plan_digest
    assert shown(dry) == shown(real)
    assert (dry.dry_run, real.dry_run) == (True, False)
    after = world.run(forty_changed(), dry_run=True, **how)
    assert after.plan_digest != real.plan_digest


def test_a_dry_run_names_whom_the_real_run_would_leave_different(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.make(people(*range(5)))
    rows = table([*people(*range(3)), {**person(9), "mobile": "?"}])
    how = {"mode": "mirror", "invalid_rows": "reject", "max_rejected": 1}
    dry = world.run(rows, dry_run=True, **how)
    assert dry.deleted == 0
    named = [record.getMessage() for record in caplog.records if "would differ" in record.getMessage()]
    assert len(named) == 2
    assert all("a rejected row with an unreadable key might be it" in line for line in named)
    rows = table([*people(*range(3)), {**person(9), "mobile": "?"}])
    assert "differs in 2 contacts" in world.ends(rows, **how).message


def test_plans_have_the_same_digest_only_if_all_their_writes_are_the_same(world: World) -> None:
    world.make(people(*range(10)))
    rows = [*people(*range(2, 10)), person(20), person(21)]

    def digest(*changed: dict[str, str], rows: list[dict[str, str]] = rows, **options: Any) -> str:
        keys = {row["mobile"] for row in changed}
        wanted = [*(row for row in rows if row["mobile"] not in keys), *changed]
        return world.run(wanted, mode="mirror", max_deletes=9, dry_run=True, **options).plan_digest

    same = digest()
    assert digest(rows=rows[::-1]) == same, "the order of the rows is no part of the plan"
    others = [
        digest(person(20, name="Another")),
        digest(person(3, name="Another")),
        digest(person(3, name="Another still")),
        digest(person(4, name="Another")),
        digest(rows=[*rows[:-1], person(22)]),
        digest(rows=rows[:-1]),
        digest(rows=rows[1:]),
        digest(rows=[person(0), *rows[1:]]),
        digest(person(3, name="a, b"), unsafe_values="replace"),
    ]
    assert len({same, *others}) == 1 + len(others)


def test_a_dry_run_trips_the_same_guardrails(world: World) -> None:
    world.make(people(*range(30)))
    assert "max_deletes" in world.refused(people(1), mode="mirror", dry_run=True)


def test_without_verify_the_group_is_not_read_again(world: World) -> None:
    world.make(forty_people())
    want, counts = expected(forty_people(), forty_changed(), "mirror")
    result = world.run(forty_changed(), mode="mirror", max_deletes=40, verify=False)
    assert world.now() == want
    assert shown(result) == counts
    assert world.sandbox.count("getcontacts") == 1


def test_without_verify_an_unknown_outcome_is_still_read_back(world: World) -> None:
    world.sandbox.fail("drop_before", methods="addcontactlist", count=1)
    world.run(people(*range(20)), verify=False)
    assert world.now() == bag(people(*range(20)))
    assert world.sandbox.count("getcontacts") > 1


def test_fields_that_the_source_does_not_supply_are_kept(world: World) -> None:
    world.make(people(*range(5)))
    rows = table([{"mobile": phone(n), "name": "New"} for n in range(6)], ("mobile", "name"))
    world.run(rows, mode="mirror")
    want = [*people(*range(5), name="New"), {"mobile": phone(5), "name": "New"}]
    assert world.now() == bag(want)


def test_rows_as_mappings_with_differing_keys_compare_only_what_each_has(world: World) -> None:
    world.make(people(1, 2, 3))
    rows = [{"MOBILE": phone(1), "name": "A"}, {"city": "B", "mobile": phone(2)}, {"mobile": phone(3)}]
    result = world.run(DictRows(rows))
    assert world.now() == bag([person(1, name="A"), person(2, city="B"), person(3)])
    assert shown(result) == {"updated": 2, "unchanged": 1}


def test_update_sends_the_whole_contact_unless_it_is_known_to_merge(world: World) -> None:
    rows = [{"mobile": phone(1), "name": "New"}]
    world.make(people(1))
    world.run(table(rows, ("mobile", "name")))
    world.make(people(1))
    world.sandbox.dialect = Dialect(modify_merges=True)
    world.run(table(rows, ("mobile", "name")), settings={"facts": {"modify_merges": True}})
    texts = [call.params["contact"] for call in world.sandbox.calls if call.method == "modifycontact"]
    assert texts == [f"mobile:{phone(1)},name:New,city:City 1", f"mobile:{phone(1)},name:New"]
    assert world.now() == bag([person(1, name="New")])


# --- fields whose stored form may differ


@pytest.mark.parametrize("stored_value", ["trim", "html", "truncate"])
def test_a_value_that_the_server_rewrites_fails_by_field_name(world: World, stored_value: Any) -> None:
    world.make(people(1))
    world.sandbox.dialect = Dialect(stored_value=stored_value)
    rows = [person(1, name="  Ana <ana> and a long, long tail  ".replace(",", "")), person(2)]
    ended = world.ends(rows)
    assert "row 1" in ended.message
    assert "name: its value still differs after it was written" in ended.message
    assert "Ana" not in ended.message
    assert ended.error is not None
    assert not ended.error.retryable
    assert world.sandbox.count("modifycontact") == 1, "one rewrite per contact and run"


def test_a_lossy_field_is_compared_after_trim_and_is_no_reason_to_write(world: World) -> None:
    world.make(people(1, 2))
    world.sandbox.dialect = Dialect(stored_value="trim")
    rows = [person(1, name=" Jose\u0301 "), person(2), person(3, name=" Ana\n")]
    world.run(rows, lossy_fields="Name")
    assert bag([person(1), person(2), person(3, name="Ana")]) == world.now(), "a difference of name alone is no reason"
    world.quiet(rows, lossy_fields=["name"])
    rows[0]["city"] = "Else"
    world.run(rows, lossy_fields=["name"])
    assert world.now() == bag([person(1, name="Jose\u0301", city="Else"), person(2), person(3, name="Ana")])
    world.sandbox.dialect = Dialect()
    world.quiet([person(1, name="José", city="Else"), person(2), person(3, name="Ana")], lossy_fields=["name"])


def test_nulls_name_fields_without_case(world: World) -> None:
    world.make([{"mobile": phone(1), "Name": "A", "City": "B"}], columns=("mobile", "Name", "City"))
    world.run([{"mobile": phone(1), "Name": None, "City": None}], nulls={"NAME": "clear"})
    assert world.now() == bag([{"mobile": phone(1), "City": "B"}])


def test_the_digest_is_of_whom_and_what_and_not_of_the_order(world: World) -> None:
    world.make(people(1))
    digest = lambda *rows: world.run(rows, dry_run=True).plan_digest  # noqa: E731 - only here
    plan = digest(person(1, name="New"), person(2))
    assert digest(person(2), person(1, name="New")) == plan
    others = [
        digest(person(1, name="Other"), person(2)),
        digest(person(1, name="New"), person(2, city="Other")),
        digest(person(1, name="New"), person(3) | {"name": "Name 2", "city": "City 2"}),
        digest(person(1), person(2)),
    ]
    assert len({plan, *others}) == 5


# --- doubles that were there before


def test_upsert_keeps_old_doubles_equal_and_says_so(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.make([person(1), person(1, name="Twin"), person(2)])
    ids = {contact["idcontact"] for contact in world.stored()}
    result = world.run([person(1, city="New"), person(2)])
    assert world.now() == bag([person(1, city="New"), person(1, city="New"), person(2)])
    assert {contact["idcontact"] for contact in world.stored()} == ids
    assert shown(result) == {"updated": 1, "unchanged": 1}
    assert "1 keys are in the group more than once" in caplog.text


def test_mirror_removes_old_doubles_with_the_higher_ids(world: World) -> None:
    world.make([person(1), person(2), person(1), person(1, name="Third")])
    ids = [contact["idcontact"] for contact in world.stored()]
    result = world.run([person(1, city="New"), person(2)], mode="mirror")
    assert world.now() == bag([person(1, city="New"), person(2)])
    assert [contact["idcontact"] for contact in world.stored()] == ids[:2]
    assert shown(result) == {"updated": 1, "unchanged": 1, "deleted_duplicates": 2}


def test_old_doubles_count_for_max_deletes(world: World) -> None:
    world.make(people(*range(10), *range(10)))
    assert "10 duplicate" in world.refused(people(*range(10)), mode="mirror")


def test_remove_takes_every_copy(world: World) -> None:
    world.make(people(1, 1, 2))
    result = world.run(people(1), mode="remove")
    assert world.now() == bag(people(2))
    assert (result.removed, result.deleted) == (1, 2)


# --- answers without usable ids


def test_without_ids_only_insert_runs(world: World) -> None:
    world.make(people(*range(5)))
    world.sandbox.dialect = Dialect(contacts="no-ids")
    for mode in ("update", "upsert", "mirror", "remove"):
        assert "only mode 'insert' can" in world.refused(people(1, 2, 9), mode=mode)
    result = world.run(people(1, 2, 9), mode="insert")
    assert shown(result) == {"skipped": 2, "added": 1}
    assert world.now() == bag(people(*range(5), 9))


@pytest.mark.parametrize("mode", ["update", "upsert", "mirror", "remove"])
def test_ids_that_are_positions_are_found_out_before_anybody_is_changed(world: World, mode: str) -> None:
    world.make(people(*range(20)))
    world.sandbox.dialect = Dialect(contacts="positional")
    rows = people(*range(5)) if mode == "remove" else people(*range(15), name="New")
    with pytest.raises(AfilnetLyingReadError, match="ids are not what they seem"):
        world.run(rows, mode=mode)
    assert world.now() == bag(people(*range(20)))
    assert world.sandbox.count("modifycontact", "deletecontact") == 0


def test_guardrails_are_refresh_errors_with_counts(world: World) -> None:
    world.make(people(*range(30)))
    with pytest.raises(AfilnetGuardrailError) as caught:
        world.run(people(*range(3)), mode="mirror")
    assert caught.value.result is not None
    assert caught.value.result.source_rows == 3
