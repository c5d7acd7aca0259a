"""Mode ``insert`` changes nobody, whatever the server makes of what it is sent."""

from __future__ import annotations

from typing import Any

import pytest
from refresh_world import World, bag, people, person, phone, shown

from airflow_provider_afilnet.sandbox.dialect import Dialect

UNSAFE = "cannot: travel, as text"


@pytest.mark.parametrize("unsafe_values", ["fail", "reject", "replace"])
@pytest.mark.parametrize("value", ["New", UNSAFE])
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("bulk_dedupes", [True, False])
def test_a_hidden_contact_stays_as_it_is(
    world: World, bulk_dedupes: bool, known: bool, value: str, unsafe_values: str
) -> None:
    """No probe meets it, so it is sent in bulk; the server skips it, or makes a copy that goes again."""
    world.sandbox.dialect = Dialect(bulk_dedupes=bulk_dedupes)
    world.make([person(109, name="By hand"), *people(*range(200, 210))])
    world.sandbox.fail("hide", keys=[phone(109)], count=1)
    facts = {"bulk_dedupes": bulk_dedupes} if known else {}
    rows = [*people(*range(60)), person(109, name=value)]
    ended = world.ends(rows, mode="insert", unsafe_values=unsafe_values, settings={"facts": facts})
    assert world.now() == bag([person(109, name="By hand"), *people(*range(200, 210)), *people(*range(60))])
    assert world.sandbox.count("modifycontact") == 0
    assert ended.counts is not None
    if bulk_dedupes:
        # Nothing tells it from a value that the server stored in another form.
        assert "mode 'insert' changes nobody" in ended.message
        assert ended.error is not None
        assert not ended.error.retryable
        assert shown(ended.counts) == {"added": 60, "failed": 1}
    else:
        assert shown(ended.counts) == {"added": 60, "skipped": 1, "deleted_duplicates": 1}
    world.quiet(rows, mode="insert")


@pytest.mark.parametrize(("stored", "value"), [("html", "Ana & Eva"), ("trim", " Ana "), ("truncate", "A" * 30)])
def test_a_value_that_is_stored_in_another_form_is_not_written_again(world: World, stored: Any, value: str) -> None:
    world.sandbox.dialect = Dialect(stored_value=stored)
    rows = [*people(*range(5)), person(5, name=value)]
    ended = world.ends(rows, mode="insert")
    assert "row 6" in ended.message
    assert "name: its value still differs after it was written, and mode 'insert' changes nobody" in ended.message
    assert world.sandbox.count("modifycontact", "deletecontact") == 0
    assert world.sandbox.sent_rows(world.group)[phone(5)] == 1
    world.quiet(rows, mode="insert")
