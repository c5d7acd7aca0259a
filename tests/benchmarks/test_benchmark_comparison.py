"""The benchmarks see everything that can be wrong with a group of the sandbox."""

from __future__ import annotations

import pytest

from airflow_provider_afilnet.sandbox import Sandbox
from benchmarks.comparison import Differences, compare
from benchmarks.rows import FIELDS, customers

WANTED = [tuple(map(str, row[1:])) for row in customers(0, 20)]
CONTACTS = [dict(zip(FIELDS, row, strict=True)) for row in WANTED]


def found(sandbox: Sandbox, contacts: list[dict[str, str]]) -> Differences:
    group = sandbox.create_group("g", "mobile", FIELDS, contacts)
    return compare(iter(WANTED), sandbox.contacts(group))


def without(contact: dict[str, str], name: str) -> dict[str, str]:
    return {field: value for field, value in contact.items() if field != name}


def test_an_equal_group_is_exact_in_any_order(sandbox: Sandbox) -> None:
    assert found(sandbox, CONTACTS[::-1]) == Differences(missing=0, stale=0, wrong=0, doubled=0)


@pytest.mark.parametrize(
    ("contacts", "expected"),
    [
        ([], Differences(20, 0, 0, 0)),
        (CONTACTS[3:], Differences(3, 0, 0, 0)),
        ([*CONTACTS, {**CONTACTS[0], "mobile": "34600999999"}], Differences(0, 1, 0, 0)),
        ([{**CONTACTS[0], "points": "-1"}, *CONTACTS[1:]], Differences(0, 0, 1, 0)),
        ([without(CONTACTS[0], "city"), *CONTACTS[1:]], Differences(0, 0, 1, 0)),
        ([*CONTACTS, *CONTACTS[:4], CONTACTS[0]], Differences(0, 0, 0, 5)),
        ([*CONTACTS, {**CONTACTS[0], "points": "-1"}], Differences(0, 0, 1, 1)),
        (
            [{**CONTACTS[2], "name": "?"}, *CONTACTS[3:], *CONTACTS[3:5], {"mobile": "34600999999"}],
            Differences(2, 1, 1, 2),
        ),
    ],
    ids=["empty", "missing", "stale", "wrong", "blank", "doubled", "doubled and wrong", "all at once"],
)
def test_each_difference_is_counted(sandbox: Sandbox, contacts: list[dict[str, str]], expected: Differences) -> None:
    assert found(sandbox, contacts) == expected
