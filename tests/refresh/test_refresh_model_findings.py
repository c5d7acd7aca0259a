"""What the model-based test found, each as small as it gets."""

from __future__ import annotations

from typing import Any

import pytest
from refresh_world import World, bag, people, person, shown

from airflow_provider_afilnet.sandbox.dialect import Dialect


@pytest.mark.parametrize("unsafe_values", ["fail", "reject", "replace"])
def test_a_double_that_a_mirror_deletes_anyway_need_not_be_written(world: World, unsafe_values: str) -> None:
    world.make([person(1, name="Ana, Eva"), person(1, name="Ana, Eva", city="Old"), person(2)])
    result = world.run([person(1, name="Ana, Eva"), person(2)], mode="mirror", unsafe_values=unsafe_values)
    assert world.now() == bag([person(1, name="Ana, Eva"), person(2)])
    assert shown(result) == {"unchanged": 2, "deleted_duplicates": 1}


def test_a_row_is_not_updated_because_a_double_goes(world: World) -> None:
    world.make([person(1), person(1, city="Old"), person(2)])
    result = world.run(people(1, 2), mode="mirror")
    assert world.sandbox.count("modifycontact") == 0
    assert shown(result) == {"unchanged": 2, "deleted_duplicates": 1}


def test_a_rejected_row_protects_its_contact_whatever_bare_digits_mean(world: World) -> None:
    """These digits are a number of New Caledonia, and without the plus also a Spanish one."""
    other = person(1) | {"mobile": "687712345"}
    world.make([person(2), other])
    rows: list[dict[str, Any]] = [person(2), {**other, "mobile": "+687712345", "name": "\x07"}]
    how: dict[str, Any] = {"default_region": "ES", "bare_numbers": "national", "invalid_rows": "reject"}
    result = world.run(rows, mode="mirror", max_rejected=1, **how)
    assert world.now() == bag([person(2), other])
    assert shown(result) == {"unchanged": 1, "rejected": 1}


@pytest.mark.parametrize("bulk_dedupes", [False, True])
def test_a_contact_is_not_lost_that_is_replaced_while_its_double_goes(world: World, bulk_dedupes: bool) -> None:
    """A server that skips known keys skips the replacement, too, as long as the double is there."""
    world.sandbox.dialect = Dialect(bulk_dedupes=bulk_dedupes)
    world.make([person(1), person(1, city="Old"), person(2)])
    rows = [person(1, name="Ana, Eva"), person(2)]
    result = world.run(rows, mode="mirror", unsafe_values="replace")
    assert world.now() == bag(rows)
    assert shown(result) == {"unchanged": 1, "updated": 1, "deleted_duplicates": 1}


def test_a_later_read_is_judged_as_the_first(world: World) -> None:
    """The first read shows nobody; the next one shows whom the run, that did not know them, has added again."""
    world.make([person(1) | {"mobile": "600000001"}])
    world.sandbox.fail("capped_read", limit=0, count=1)
    ended = world.ends(people(1, 2, 3))
    assert "cannot be read" in ended.message


def test_a_replacement_that_waits_for_a_double_counts_before_the_first_write(world: World) -> None:
    world.make([person(1), person(1, city="Old"), person(2)])
    message = world.refused(
        [person(1, name="Ana, Eva"), person(2)], mode="mirror", unsafe_values="replace", max_deletes=1
    )
    assert "2 contacts of 3 would be deleted" in message
