"""Every mode, against a model: the group afterwards, the counts, and a repeat that does nothing."""

from __future__ import annotations

from typing import Any

import pytest
from refresh_world import World, bag, expected, people, person, phone, shown, table

from airflow_provider_afilnet.refresh.errors import AfilnetGuardrailError, AfilnetLyingReadError
from airflow_provider_afilnet.refresh.rows import DictRows
from airflow_provider_afilnet.sandbox.dialect import Dialect

MODES = ("insert", "update", "upsert", "mirror", "remove")


def _before() -> list[dict[str, str]]:
    return people(*range(40))


def _rows() -> list[dict[str, Any]]:
    """Ten equal, ten changed, five with a null, five new."""
    changed = [person(n, name=f"Other {n}") for n in range(10, 20)]
    nulls: list[dict[str, Any]] = [{**person(n), "city": None} for n in range(20, 25)]
    return [*people(*range(10)), *changed, *nulls, *people(*range(100, 105))]


@pytest.mark.parametrize("nulls", ["keep", "clear", {"city": "clear"}, {"City": "clear", "name": "keep"}])
@pytest.mark.parametrize("mode", MODES)
def test_a_mode_does_what_the_model_says_and_its_repeat_nothing(world: World, mode: str, nulls: Any) -> None:
    world.make(_before())
    clear = () if nulls == "keep" else ("city",)
    want, counts = expected(_before(), _rows(), mode, clear=clear)
    result = world.run(_rows(), mode=mode, nulls=nulls, max_deletes=40)
    assert world.now() == want
    assert shown(result) == counts
    assert result.rounds == 1
    world.quiet(_rows(), mode=mode, nulls=nulls, max_deletes=40)


def test_ids_of_contacts_that_stay_do_not_change(world: World) -> None:
    world.make(_before())
    ids = world.ids()
    world.run(_rows(), mode="upsert")
    assert ids.items() <= world.ids().items()


@pytest.mark.parametrize("mode", MODES)
def test_suppressed_people_are_never_added_and_always_removed(world: World, mode: str) -> None:
    world.make(_before())
    # 1 is in group and rows, 35 in the group only, 101 in the rows only, 900 in neither.
    out = [phone(n) for n in (1, 35, 101, 900)]
    want, counts = expected(_before(), _rows(), mode, suppress=out)
    asked = []

    def suppress() -> list[object]:
        asked.append(world.sandbox.writes)
        assert world.sandbox.count("getcontacts") == 1, "asked last, just before the first write"
        return ["+34 600-00-00-01", int(phone(35)), phone(101), phone(900)]

    result = world.run(_rows(), mode=mode, suppress=suppress, max_deletes=40)
    assert asked == [0]
    assert world.now() == want
    assert shown(result) == counts
    assert not set(out) & set(world.ids())
    assert not set(out) & set(world.sandbox.sent_rows(world.group))


def test_every_copy_of_a_suppressed_person_goes(world: World) -> None:
    world.make([*people(1, 1, 2), person(3) | {"mobile": "+" + phone(3)}])
    result = world.run(people(2), suppress=[phone(1), phone(3)])
    assert world.now() == bag(people(2))
    assert result.deleted_suppressed == 3


def test_an_empty_suppression_list_must_be_allowed(world: World) -> None:
    assert "allow_empty_suppress" in world.refused(people(1), suppress=[])
    world.run(people(1), suppress=[], allow_empty_suppress=True)
    assert world.now() == bag(people(1))


@pytest.mark.parametrize("key", ["nobody", None, "", "600111222x", b"34600000001"])
def test_an_unreadable_suppressed_key_stops_the_run_and_is_not_quoted(world: World, key: object) -> None:
    message = world.refused(people(1), suppress=[phone(5), key])
    assert "suppressed key number 2" in message
    assert "600111222" not in message
    assert "nobody" not in message


def test_a_failing_suppression_query_stops_the_run(world: World) -> None:
    def broken() -> list[str]:
        raise RuntimeError("database is gone")

    with pytest.raises(RuntimeError, match="database is gone"):
        world.run(people(1), suppress=broken)
    assert world.sandbox.writes == 0


def test_deletions_of_suppressed_people_count_for_max_deletes(world: World) -> None:
    world.make(people(*range(100)))
    message = world.refused(people(1), suppress=[phone(n) for n in range(11)])
    assert "11 contacts of 100" in message
    assert "11 suppressed" in message
    assert "max_deletes=0.1 allows 10" in message


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
    world.make(_before())
    how: dict[str, Any] = {"mode": mode, "max_deletes": 40, "suppress": [phone(2), phone(30)]}
    world.sandbox.clear_calls()
    dry = world.run(_rows(), dry_run=True, **how)
    assert world.sandbox.writes == 0
    assert world.now() == bag(_before())
    real = world.run(_rows(), **how)
    assert dry.plan_digest == real.plan_digest
    assert shown(dry) == shown(real)
    assert (dry.dry_run, real.dry_run) == (True, False)
    after = world.run(_rows(), dry_run=True, **how)
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
    world.make(_before())
    want, counts = expected(_before(), _rows(), "mirror")
    result = world.run(_rows(), mode="mirror", max_deletes=40, verify=False)
    assert world.now() == want
    assert shown(result) == counts
    assert world.sandbox.count("getcontacts") == 1


def test_without_verify_an_unknown_outcome_is_still_read_back(world: World) -> None:
    world.sandbox.fail("drop_before", methods="addcontactlist", count=1)
    world.run(people(*range(20)), verify=False)
    assert world.now() == bag(people(*range(20)))
    assert world.sandbox.count("getcontacts") > 1


@pytest.mark.parametrize("size", [1, 7, 10, 500])
def test_batch_size_bounds_every_list(world: World, size: int) -> None:
    world.run(people(*range(43)), batch_size=size)
    sizes = [int(call.params["rows"]) for call in world.sandbox.calls if call.method == "addcontactlist"]
    assert sum(sizes) == 40, "three went as probes"
    assert max(sizes) <= size
    assert len(sizes) == -(-40 // size)
    assert world.now() == bag(people(*range(43)))


@pytest.mark.parametrize("name", ["ñ,:&=%+" * 5, ""], ids=["long", "hardly more than commas"])
def test_batch_bytes_bounds_every_request_body(world: World, name: str) -> None:
    """Rows of one and the same encoded length tell from their number how long a body was."""
    from urllib.parse import urlencode

    from airflow_provider_afilnet.api.calls import contacts_json

    # What is blank is not sent.
    rows = [{k: v for k, v in person(n, name=name, city=name[:1]).items() if v} for n in range(10, 250)]
    world.run(rows, batch_bytes=4000)
    sizes = [int(call.params["rows"]) for call in world.sandbox.calls if call.method == "addcontactlist"]
    lengths = [
        len(
            urlencode(
                {
                    "class": "group",
                    "method": "addcontactlist",
                    "user": world.sandbox.user,
                    "password": world.sandbox.password,
                    "idgroup": world.group,
                    "contacts": contacts_json(rows[:size]),
                }
            )
        )
        for size in sizes
    ]
    assert max(lengths) <= 4000
    assert sorted(sizes)[1] > 1, "and they are filled"
    assert max(lengths) > 3300


@pytest.mark.parametrize("style", ["get", "basic-get"])
def test_get_requests_are_split_to_fit_the_limit(world: World, style: str) -> None:
    rows = [person(n, name="ñandú, " * 6) for n in range(60)]
    world.run(rows, settings={"style": style})
    assert world.now() == bag(rows)
    calls = [call for call in world.sandbox.calls if call.method == "addcontactlist"]
    assert len(calls) > 4
    assert all(call.status == 200 for call in calls), "none was refused for its length"
    assert {call.style for call in calls} == {style}


def test_a_contact_that_no_get_request_can_carry_fails_alone(world: World) -> None:
    rows = [*people(*range(10)), person(50, name="x" * 5000)]
    ended = world.ends(rows, settings={"style": "get"})
    assert world.now() == bag(people(*range(10)))
    assert "row 11" in ended.message
    assert ended.error is not None
    assert ended.error.result.failed == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("style", ["post", "get", "basic", "basic-get"])
def test_every_style_reaches_the_same_end(world: World, style: str) -> None:
    world.make(_before())
    want, counts = expected(_before(), _rows(), "mirror")
    assert shown(world.run(_rows(), mode="mirror", max_deletes=40, settings={"style": style})) == counts
    assert world.now() == want


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


# --- values that modifycontact cannot carry


UNSAFE = ("a,b", "a:b", "mobile:34600000099", ",", "x,city:y")


@pytest.mark.parametrize("value", UNSAFE)
def test_unsafe_values_fail_before_the_first_write(world: World, value: str) -> None:
    world.make(people(1, 2))
    message = world.refused([person(1, name=value), person(2, name="safe"), person(3)])
    assert "1 changed contacts" in message
    assert "row 1" in message
    assert "unsafe_values='reject'" in message
    assert "unsafe_values='replace'" in message
    assert value not in message or value in (",", "a")


@pytest.mark.parametrize("value", UNSAFE)
def test_unsafe_values_can_be_rejected(world: World, value: str) -> None:
    world.make(people(1, 2, 9))
    rows = [person(1, name=value), person(2, name="safe"), person(3, name=value)]
    assert "max_rejected" in world.refused(rows, unsafe_values="reject", mode="mirror")
    result = world.run(rows, unsafe_values="reject", max_rejected=1, mode="mirror")
    assert world.now() == bag([person(1), person(2, name="safe"), person(3, name=value)])
    assert shown(result) == {"rejected": 1, "updated": 1, "added": 1, "deleted": 1}


@pytest.mark.parametrize("value", UNSAFE)
def test_unsafe_values_can_be_replaced(world: World, value: str) -> None:
    world.make(people(1, 2), columns=(*world.columns, "note"))
    before = world.ids()
    # The stored note is no field of the source, and is kept.
    world.sandbox.remove_contacts(world.group, world.ids().values())
    world.sandbox.add_contacts(world.group, [person(1) | {"note": "kept, too"}, person(2)])
    before = world.ids()
    rows = table([person(1, name=value), person(2, name="safe")])
    result = world.run(rows, unsafe_values="replace")
    assert world.now() == bag([person(1, name=value) | {"note": "kept, too"}, person(2, name="safe")])
    assert shown(result) == {"updated": 2}
    assert world.ids()[phone(2)] == before[phone(2)]
    assert world.ids()[phone(1)] != before[phone(1)]
    world.quiet(table([person(1, name=value), person(2, name="safe")]), unsafe_values="replace")


def test_a_stored_value_that_cannot_travel_makes_its_contact_unsafe_too(world: World) -> None:
    world.make([person(1, city="Old, town")])
    rows = [{"mobile": phone(1), "name": "New"}]
    assert "comma or a colon" in world.refused(table(rows, ("mobile", "name")))
    world.sandbox.dialect = Dialect(modify_merges=True)
    world.run(table(rows, ("mobile", "name")), settings={"facts": {"modify_merges": True}})
    assert world.now() == bag([person(1, name="New", city="Old, town")])


def test_a_rejected_unsafe_row_leaves_all_its_copies_alone(world: World) -> None:
    world.make([person(1), person(1, city="Old, town"), person(2)])
    before = world.now()
    rows = table([{"mobile": phone(1), "name": "New"}, {"mobile": phone(2), "name": "Name 2"}], ("mobile", "name"))
    result = world.run(rows, unsafe_values="reject", max_rejected=1)
    assert world.now() == before
    assert shown(result) == {"rejected": 1, "unchanged": 1}


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


# --- keys


def test_protected_rejects(world: World) -> None:
    """A rejected row whose key can be read keeps its contact from being deleted, and unchanged."""
    world.make(people(1, 2, 3))
    rows = [person(1), {**person(2), "name": "bad\x00value"}]
    result = world.run(rows, mode="mirror", invalid_rows="reject", max_rejected=1)
    assert world.now() == bag(people(1, 2))
    assert shown(result) == {"unchanged": 1, "rejected": 1, "deleted": 1}


def test_an_unreadable_key_in_the_source_withholds_every_deletion(world: World) -> None:
    world.make([*people(1, 2, 3), person(1)])
    rows = [person(1), {**person(2), "mobile": "unknown"}, person(4)]
    how: dict[str, Any] = {"mode": "mirror", "invalid_rows": "reject", "max_rejected": 1}
    ended = world.ends(rows, **how)
    assert world.now() == bag(people(1, 1, 2, 3, 4))
    assert "2 deletions were withheld" in ended.message
    assert "delete_despite_rejects=True" in ended.message
    assert "more than once" in ended.message
    assert world.sandbox.count("deletecontact") == 0
    result = world.run(rows, delete_despite_rejects=True, **how)
    assert world.now() == bag(people(1, 4))
    assert shown(result) == {"unchanged": 2, "rejected": 1, "deleted": 2, "deleted_duplicates": 1}


def test_an_unreadable_key_does_not_hinder_the_other_modes(world: World) -> None:
    world.make(people(1, 2, 3))
    rows = [person(1, name="New"), {**person(2), "mobile": "unknown"}]
    world.run(rows, mode="upsert", invalid_rows="reject", max_rejected=1)
    world.run(rows, mode="remove", invalid_rows="reject", max_rejected=1)
    assert world.now() == bag(people(2, 3))


@pytest.mark.parametrize("stored_key", ["plus", "national"])
@pytest.mark.parametrize("mode", MODES)
def test_keys_that_the_server_stores_in_another_form(world: World, stored_key: Any, mode: str) -> None:
    world.sandbox.dialect = Dialect(stored_key=stored_key)
    settings = {"default_region": "ES", "bare_numbers": "international"}
    world.make()
    world.sandbox._state.store.set_country(world.sandbox._group(world.group), "ESP")
    world.run(_before(), **settings)
    forms = {"plus": lambda key: "+" + key, "national": lambda key: key.removeprefix("34")}
    assert set(world.ids()) == {forms[stored_key](contact["mobile"]) for contact in _before()}
    want, counts = expected(_before(), _rows(), mode)
    result = world.run(_rows(), mode=mode, max_deletes=40, **settings)
    stored = [{k: v for k, v in c.items() if k != "idcontact"} for c in world.stored()]
    back = {forms[stored_key](phone(n)): phone(n) for n in range(200)}
    assert bag({**contact, "mobile": back[contact["mobile"]]} for contact in stored) == want
    assert shown(result) == counts
    world.quiet(_rows(), mode=mode, max_deletes=40, **settings)


def test_stored_keys_as_people_type_them_are_the_same_people(world: World) -> None:
    world.make([person(1) | {"mobile": "+34 600 00 00 01"}, person(2) | {"mobile": "600000002"}, person(3)])
    result = world.run([person(1), person(2, name="New"), person(3)], default_region="ES")
    assert shown(result) == {"unchanged": 2, "updated": 1}
    assert set(world.ids()) == {"+34 600 00 00 01", "600000002", phone(3)}, "the key is never compared as a value"


def test_a_stored_canonical_key_is_not_read_as_national_when_it_is_wanted(world: World) -> None:
    """The digits of +34 600 … are also a German number; the exact form wins, also in the id check."""
    import phonenumbers

    digits = next(d for d in map(phone, range(200)) if phonenumbers.is_valid_number(phonenumbers.parse(d, "DE")))
    world.make([{"mobile": digits, "name": "A", "city": "B"}])
    rows = [{"mobile": "+" + digits, "name": "New", "city": "B"}]
    result = world.run(rows, default_region="DE", bare_numbers="national", mode="mirror")
    assert shown(result) == {"updated": 1}
    assert world.now() == bag([{"mobile": digits, "name": "New", "city": "B"}])


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


def test_a_stored_canonical_key_is_not_read_as_national_when_it_is_suppressed(world: World) -> None:
    """Read as German, the digits would be another person, who is in the source and there already."""
    import phonenumbers

    digits = next(d for d in map(phone, range(200)) if phonenumbers.is_valid_number(phonenumbers.parse(d, "DE")))
    world.make([{"mobile": digits, "name": "A"}, {"mobile": "49" + digits, "name": "B"}])
    rows = [{"mobile": "+49" + digits, "name": "B"}]
    result = world.run(rows, default_region="DE", bare_numbers="national", suppress=["+" + digits])
    assert shown(result) == {"unchanged": 1, "deleted_suppressed": 1}
    assert world.now() == bag([{"mobile": "49" + digits, "name": "B"}])


def test_a_group_with_both_key_fields_needs_a_choice(world: World) -> None:
    columns = ("mobile", "email", "name")
    world.make([{"mobile": phone(1), "email": "a@uno.es"}], columns=columns)
    rows = [{"mobile": phone(n), "email": f"a{n}@uno.es", "name": "N"} for n in (1, 2)]
    assert "key_field" in world.refused(rows)
    want, counts = expected([{"mobile": phone(1), "email": "a@uno.es"}], rows, "upsert")
    assert shown(world.run(rows, key_field="mobile")) == counts
    assert world.now() == want


def test_the_chosen_key_field_must_be_there(world: World) -> None:
    assert "'email'" in world.refused(people(1), key_field="email")


@pytest.mark.parametrize("mode", MODES)
def test_email_groups(world: World, mode: str) -> None:
    columns = ("email", "name")
    before = [{"email": f"User{n}@uno.es", "name": f"N{n}"} for n in range(30)]
    world.make(before, columns=columns, kind="email")
    rows = [
        {"email": "uSER0@UNO.es", "name": "New"},
        {"email": " User1@uno.es ", "name": "N1"},
        {"email": "new@b\u00fccher.de", "name": "New"},
    ]
    canonical = [
        {"email": "User0@uno.es", "name": "New"},
        {"email": "User1@uno.es", "name": "N1"},
        {"email": "new@xn--bcher-kva.de", "name": "New"},
    ]
    want, counts = expected(before, canonical, mode, key="email")
    assert shown(world.run(rows, mode=mode, max_deletes=1.0)) == counts
    assert world.now() == want
    world.quiet(rows, mode=mode, max_deletes=1.0)


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


# --- keys of the group that cannot be read


def test_many_unreadable_keys_stop_the_run(world: World) -> None:
    world.make([*people(*range(98)), person(98) | {"mobile": "600"}])
    for mode in MODES:
        message = world.refused(people(1), mode=mode, max_deletes=1.0)
        assert "1 of 99 contacts" in message
        assert "default_region" in message


def test_few_unreadable_keys_are_left_alone(world: World, caplog: pytest.LogCaptureFixture) -> None:
    broken = person(98) | {"mobile": "600"}
    world.make([*people(*range(99)), broken])
    world.run(people(1, 500))
    assert world.now() == bag([*people(*range(99), 500), broken])
    assert "cannot be read" in caplog.text


def test_a_mirror_never_deletes_an_unreadable_key_but_is_not_green_with_it(world: World) -> None:
    broken = person(98) | {"mobile": "600"}
    world.make([*people(*range(99)), broken])
    ended = world.ends(people(*range(95)), mode="mirror")
    assert world.now() == bag([*people(*range(95)), broken])
    broken_id = world.ids()["600"]
    assert f"contact {broken_id}" in ended.message
    assert "correct or delete it at Afilnet" in ended.message
    world.sandbox.remove_contacts(world.group, [broken_id])
    world.quiet(people(*range(95)), mode="mirror")


def test_national_keys_without_a_region_stop_the_run_and_name_the_option(world: World) -> None:
    world.make([person(n) | {"mobile": phone(n)[2:]} for n in range(10)])
    message = world.refused(people(*range(10)))
    assert "default_region" in message
    world.quiet(people(*range(10)), default_region="ES")


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
