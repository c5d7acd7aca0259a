"""Keys: which field it is, whom a stored one means, and what one that cannot be read forbids."""

from __future__ import annotations

from typing import Any

import pytest
from refresh_world import MODES, World, bag, expected, forty_changed, forty_people, people, person, phone, shown

from airflow_provider_afilnet.sandbox.dialect import Dialect


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
    world.run(forty_people(), **settings)
    forms = {"plus": lambda key: "+" + key, "national": lambda key: key.removeprefix("34")}
    assert set(world.ids()) == {forms[stored_key](contact["mobile"]) for contact in forty_people()}
    want, counts = expected(forty_people(), forty_changed(), mode)
    result = world.run(forty_changed(), mode=mode, max_deletes=40, **settings)
    stored = [{k: v for k, v in c.items() if k != "idcontact"} for c in world.stored()]
    back = {forms[stored_key](phone(n)): phone(n) for n in range(200)}
    assert bag({**contact, "mobile": back[contact["mobile"]]} for contact in stored) == want
    assert shown(result) == counts
    world.quiet(forty_changed(), mode=mode, max_deletes=40, **settings)


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
