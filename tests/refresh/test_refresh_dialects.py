"""The same refresh at every Afilnet that the contract leaves possible: shapes of answers, and facts known or not."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from refresh_world import World, expected, people, person, shown

from airflow_provider_afilnet.sandbox.dialect import Dialect, dialects_of

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


OTHERS = [
    (field, value)
    for field in ("columns", "new_id", "single", "bulk", "numbers", "status_case", "empty_values")
    for value in dialects_of(field)[1:]
]


@pytest.mark.parametrize(("field", "value"), OTHERS)
@pytest.mark.parametrize("contacts", ["flat", "keyed"])
def test_every_other_shape(world: World, field: str, value: object, contacts: Literal["flat", "keyed"]) -> None:
    world.sandbox.dialect = Dialect(contacts=contacts, **{field: value})  # type: ignore[arg-type]
    _check(world)


@pytest.mark.parametrize("code", ["NOT_ACCESS_TO_GROUP", "NOT_ACCESS_TO_CONTACT", "CONTACT_NOT_EXISTS"])
def test_a_deletion_whose_answer_was_lost_is_done_whatever_its_repeat_answers(world: World, code: str) -> None:
    """The code for a missing contact is not documented."""
    world.make(people(*range(20)))
    world.sandbox.dialect = Dialect(missing_contact_code=code)
    world.sandbox.fail("drop_after", methods="deletecontact", count=1)
    rows = people(*range(15))
    result = world.run(rows, mode="mirror")
    assert world.now() == expected(world.stored(), rows, "mirror")[0]
    assert (result.deleted, len(world.stored())) == (5, 15)
