"""The restore of ``docs/refresh.md``, as it stands there, gives the contacts of a backup back, value by value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from docs.pages import claim
from s3_server import S3Server

from airflow_provider_afilnet.operators.contacts import AfilnetUpsertContactsOperator
from airflow_provider_afilnet.sandbox import Sandbox

pytestmark = pytest.mark.usefixtures("afilnet_conn")

Run = Callable[..., Any]

RESTORE = claim("docs/refresh.md", "python", 'task_id="restore"')
COLUMNS = ["mobile", "name", "city", "note"]
NATIONAL, NATIONAL_GONE = "600000020", "600000021"


def contact(number: int, **values: str) -> dict[str, str]:
    found = {
        "mobile": f"346{number:08d}",
        "name": f"Name {number}",
        "city": f"City {number}",
        "note": f"by hand {number}",
    }
    return found | values


BEFORE = [
    *(contact(n) for n in range(10)),
    contact(10, city="", note=""),
    contact(11, name="Comma, old", city=""),
    contact(12, name="ñ😀\ttab", note="  blanks  "),
    contact(13, name="2026-01-01", city="1.10", note="007"),
    contact(0, mobile=NATIONAL, city=""),
    contact(0, mobile=NATIONAL_GONE),
]
ROWS: list[dict[str, str]] = [
    *({"mobile": f"346{n:08d}", "name": "Changed", "city": "Filled", "since": "2026"} for n in range(4, 15)),
    {"mobile": f"346{9:08d}", "name": "Comma, new", "city": "a:b", "since": ""},
    {"mobile": NATIONAL, "name": "Changed", "city": "Filled", "since": "2026"},
]


@pytest.fixture(params=["local", "s3"])
def reports(request: pytest.FixtureRequest, tmp_path: Path, make_conn: Callable[..., None]) -> Iterator[str]:
    if request.param == "local":
        yield str(tmp_path)
        return
    server = S3Server()
    make_conn(server.conn_id, **server.connection)
    yield f"s3://{server.conn_id}@{server.bucket}/reports"
    server.stop()


def mirror(group: str, reports: str, **options: Any) -> AfilnetUpsertContactsOperator:
    return AfilnetUpsertContactsOperator(
        **{
            "task_id": "mirror",
            "group_id": group,
            "contacts": ROWS,
            "mode": "mirror",
            "default_region": "ES",
            "duplicates": "last",
            "unknown_columns": "create",
            "unsafe_values": "replace",
            "max_deletes": 1.0,
            "settle": 0.2,
            "report_path": f"{reports}/{{{{ run_id }}}}/{{{{ task.task_id }}}}",
            **options,
        }
    )


def restore(group: str, reports: str, **options: Any) -> AfilnetUpsertContactsOperator:
    """The page's block with this group, this file, and more options."""
    block = RESTORE.replace('"1000"', repr(group)).replace(
        "/reports/scheduled__2026-11-20/refresh", f"{reports}/manual__t/mirror"
    )
    names = {"AfilnetUpsertContactsOperator": lambda **given: AfilnetUpsertContactsOperator(**{**given, **options})}
    made = eval(compile(block, "refresh.md", "eval"), names)
    assert isinstance(made, AfilnetUpsertContactsOperator)
    return made


def bag(contacts: list[dict[str, str]]) -> Counter[tuple[tuple[str, str], ...]]:
    """Contacts without ids; a blank value is the same as none."""

    def values(found: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        return tuple(sorted((name, value) for name, value in found.items() if value and name != "idcontact"))

    return Counter(map(values, contacts))


def test_a_mirror_is_undone(run_task: Run, sandbox: Sandbox, reports: str) -> None:
    """It changed, filled, replaced, deleted, added, and made a column."""
    group = sandbox.create_group("g", "mobile", COLUMNS, BEFORE)
    done = run_task(mirror(group, reports))
    assert done.state == "success", done.error
    counts = {name: done.value[name] for name in ("added", "updated", "deleted")}
    assert counts == {"added": 1, "updated": 11, "deleted": 5}
    assert len(sandbox.contacts(group)) == 12
    undone = run_task(restore(group, reports))
    assert undone.state == "success", undone.error
    after = bag(sandbox.contacts(group))
    added = bag([{"mobile": "34600000014", "name": "Changed", "city": "Filled", "since": "2026"}])
    canonical = bag(
        [{**found, "mobile": found["mobile"].replace(NATIONAL_GONE, "34" + NATIONAL_GONE)} for found in BEFORE]
    )
    assert after == canonical + added
    again = run_task(restore(group, reports))
    assert (again.value["unchanged"], again.value["rounds"]) == (16, 0)


def test_a_backup_of_two_tries_restores_what_was_before_the_first(
    run_task: Run, sandbox: Sandbox, reports: str
) -> None:
    group = sandbox.create_group("g", "mobile", COLUMNS, BEFORE[:14])
    sandbox.fail("error", methods="deletecontact", code="SOME_REASON")
    assert run_task(mirror(group, reports, unsafe_values="reject", max_rejected=9, retries=1)).state == "failed"
    sandbox.clear_faults()
    rows = [{**row, "name": "Later, again", "city": "Later"} for row in ROWS[:10]]
    assert run_task(mirror(group, reports, contacts=rows, retries=1), try_number=2).state == "success"
    undone = run_task(restore(group, reports))
    assert undone.state == "success", undone.error
    surplus = bag(sandbox.contacts(group)) - bag(BEFORE[:14])
    assert {dict(found)["mobile"] for found in surplus} == {"34600000014", "34" + NATIONAL}, "whom the first try added"
    assert len(sandbox.contacts(group)) == 14 + 2


def test_a_copy_that_was_deleted_does_not_change_the_one_that_stayed(
    run_task: Run, sandbox: Sandbox, reports: str
) -> None:
    """The mirror kept the first of two, which was equal already, and deleted the second, which was not."""
    double = [contact(1), contact(2), contact(1, name="Another")]
    group = sandbox.create_group("g", "mobile", COLUMNS, double)
    done = run_task(mirror(group, reports, contacts=[contact(1), contact(2)]))
    assert (done.state, done.value["deleted_duplicates"]) == ("success", 1), done.error
    assert run_task(restore(group, reports)).state == "success"
    assert bag(sandbox.contacts(group)) == bag([contact(1), contact(2)])


def test_who_opted_out_stays_out_with_the_options_of_the_run(run_task: Run, sandbox: Sandbox, reports: str) -> None:
    group = sandbox.create_group("g", "mobile", COLUMNS, BEFORE[:4])
    out = [BEFORE[0]["mobile"]]
    done = run_task(mirror(group, reports, contacts=[contact(1, name="New"), contact(2)], suppress=out))
    assert done.state == "success", done.error
    undone = run_task(restore(group, reports, suppress=out))
    assert undone.state == "success", undone.error
    assert bag(sandbox.contacts(group)) == bag(BEFORE[1:4])
