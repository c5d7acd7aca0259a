"""Every fault, at every method, at the first, each second and the last call: green and exact, or red; then it heals."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from refresh_world import World, bag, people, person, phone

from airflow_provider_afilnet.sandbox import Sandbox
from airflow_provider_afilnet.sandbox.dialect import Dialect

LONG = bool(os.environ.get("AFILNET_LONG"))
SIZE = 200 if LONG else 60
BATCH = 20 if LONG else 6

WRITES = ("addcontact", "addcontactlist", "modifycontact", "deletecontact")
READS = ("getgroupcolumns", "getcontacts", "getcontact")
ANYWHERE: list[tuple[str, dict[str, Any]]] = [
    ("http_500", {"status": 500}),
    ("http_500", {"status": 503, "retry_after": 0.05}),
    ("rate_limited", {"retry_after": 0.05}),
    ("html", {"applied": False}),
    ("html", {"applied": True}),
    ("garbled", {"applied": False}),
    ("garbled", {"applied": True}),
    ("drop_before", {}),
    ("drop_after", {}),
    ("error", {"code": "SOME_REASON"}),
    ("error", {"code": "NOT_ACCESS_TO_GROUP"}),
    ("error", {"code": "MISSING_COMPULSORY_PARAM"}),
    ("redirect", {"location": "http://127.0.0.1:9/"}),
]
LIES: list[tuple[str, dict[str, Any]]] = [
    ("capped_read", {"limit": SIZE // 2}),
    ("capped_read", {"limit": 0}),
    ("null_read", {}),
    ("absent_read", {}),
    ("stale_read", {}),
    ("hide", {"keys": [phone(n) for n in range(10, 20)]}),
]
BULK: list[tuple[str, dict[str, Any]]] = [
    ("refuse_row", {"keys": [phone(SIZE + 2)]}),
    ("too_large", {"rows": 2}),
    ("too_large", {"rows": 2, "code": "MISSING_COMPULSORY_PARAM"}),
    ("lose_row", {"keys": [phone(SIZE + 2)]}),
    ("late", {"seconds": 0.4}),
]
KINDS = [
    *[(kind, detail, method) for kind, detail in ANYWHERE for method in (*WRITES, *READS)],
    *[(kind, detail, "getcontacts") for kind, detail in LIES],
    *[(kind, detail, "addcontactlist") for kind, detail in BULK],
    ("late", {"seconds": 0.4}, "addcontact"),
]
WHEN: dict[str, dict[str, Any]] = {
    "first": {"count": 1},
    "second": {"every": 2, "count": 3},
    "last": {"count": 1, "after": -1},
}


def _before() -> list[dict[str, str]]:
    return people(*range(SIZE))


def _rows() -> list[dict[str, str]]:
    """A third equal, a third changed, 9 go, a third new."""
    third = SIZE // 3
    changed = [person(n, name=f"New {n}") for n in range(third, SIZE - 9)]
    return [*people(*range(third)), *changed, *people(*range(SIZE, SIZE + third))]


HOW: dict[str, Any] = {
    "mode": "mirror",
    "max_deletes": SIZE,
    "batch_size": BATCH,
    "settle": 0.1,
    "settings": {"timeout": 0.3},
}


def _calls_of_a_healthy_run(bulk_dedupes: bool) -> dict[str, int]:
    with Sandbox(user="u", password="p", dialect=Dialect(bulk_dedupes=bulk_dedupes)) as sandbox:
        world = World(sandbox)
        world.make(_before())
        world.run(_rows(), **HOW)
        return {method: sandbox.count(method) for method in (*WRITES, *READS)}


@pytest.fixture(scope="module")
def healthy() -> dict[str, int]:
    counted = _calls_of_a_healthy_run(False)
    assert counted == _calls_of_a_healthy_run(True)
    assert all(counted.values())
    return counted


def _case(dialect: Dialect, kind: str, detail: dict[str, Any], method: str, when: str, last: int) -> tuple[bool, str]:
    """One run under a fault and one without: whether the first was green, and what was wrong, if anything."""
    with Sandbox(user="u", password="p", dialect=dialect) as sandbox:
        return _in_sandbox(World(sandbox), kind, detail, method, when, last)


def _in_sandbox(world: World, kind: str, detail: dict[str, Any], method: str, when: str, last: int) -> tuple[bool, str]:
    sandbox = world.sandbox
    world.make(_before())
    sandbox.clear_calls()
    moment = dict(WHEN[when])
    if when == "last":
        moment["after"] = last - 1
    fault = sandbox.fail(kind, methods=method, **detail, **moment)
    ended = world.ends(_rows(), **HOW)
    fault.remove()
    if not fault.hits and not ended.green:
        return ended.green, f"red without a fault: {ended.message}"
    if ended.green and world.now() != bag(_rows()):
        return ended.green, "green and not exact"
    if not ended.green and not ended.message:
        return ended.green, "red and does not say why"
    if kind == "late":
        time.sleep(0.45)
    second = world.ends(_rows(), **HOW)
    if not second.green:
        return ended.green, f"the healthy run is red: {second.message} (first: {ended.message or 'green'})"
    if world.now() != bag(_rows()):
        return ended.green, "the healthy run is green and not exact"
    return ended.green, ""


@pytest.mark.parametrize("bulk_dedupes", [False, True])
@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("method", [*WRITES, *READS])
def test_every_fault(healthy: dict[str, int], method: str, when: str, bulk_dedupes: bool, capsys: Any) -> None:
    dialect = Dialect(bulk_dedupes=bulk_dedupes)
    cases = [(kind, detail) for kind, detail, hit in KINDS if hit == method]
    # Most of the time is waiting, so several run at once, each with a sandbox of its own.
    with ThreadPoolExecutor(9) as pool:
        found = list(pool.map(lambda case: _case(dialect, *case, method, when, healthy[method]), cases))
    greens = sum(green for green, _ in found)
    wrong = [
        f"{kind} {detail} at {when} {method}: {trouble}"
        for (kind, detail), (_, trouble) in zip(cases, found, strict=True)
        if trouble
    ]
    with capsys.disabled():
        print(f"\n{len(cases)} faults at {when} {method}, bulk_dedupes={bulk_dedupes}: {greens} green", end="")
    assert not wrong, "\n".join(wrong)


def test_how_many_cases_there_are(capsys: Any) -> None:
    number = len(KINDS) * len(WHEN) * 2
    with capsys.disabled():
        print(f"\nthe fault matrix has {number} cases", end="")
    assert number > 600
