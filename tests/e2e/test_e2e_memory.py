"""A refresh of 200,000 rows of a PostgreSQL takes no more memory than one of 10,000.

Each refresh is a task in a fresh process, whose peak of resident memory is its own; the sandbox is another process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from forked_tasks import HERE, environment

from airflow_provider_afilnet.sandbox import Sandbox

LONG = bool(os.environ.get("AFILNET_LONG"))
FEW, MANY, MOST = 10_000, 200_000, 1_000_000

ALLOWED_KIB = 25 * 1024
"""How much higher the peak may be with many rows. A list that held each row would take some hundred bytes a row."""


@dataclass(frozen=True)
class Case:
    """A refresh: SQL that makes the wanted table ``customers``, SQL that makes the group, and options.

    In both, ``%(n)s`` is the number of rows, and the group's query gives key, name and note of its contacts.
    ``expected``: counts as shares of the rows.
    """

    name: str
    wanted: str
    group: str
    expected: dict[str, float]
    options: dict[str, Any] = field(default_factory=dict)
    key_field: str = "mobile"

    def __str__(self) -> str:
        return self.name


KEY = "'346' || lpad(i::text, 8, '0')"
SERIES = "generate_series(0, %(n)s - 1) i"
PLAIN = f"SELECT {KEY} AS mobile, 'Ana ' || i AS name FROM {SERIES}"
NOBODY = f"SELECT 1, 2, 3 FROM {SERIES} WHERE false"
WITH_NOTE = f"SELECT {KEY}, 'Ana ' || i, 'by hand' FROM {SERIES}"

# A driver that held the result would hold what the refresh ignores, too, and that alone is more than is allowed.
NO_CHANGE = Case(
    "no change, wide rows",
    f"SELECT {KEY} AS mobile, 'Ana ' || i AS name, repeat('x', 200) AS ignored FROM {SERIES}",
    WITH_NOTE,
    {"unchanged": 1},
    {"unknown_columns": "ignore"},
)
CHURN = Case(
    "churn",
    # 0.5 % changed, 0.25 % new, 0.25 % gone.
    f"SELECT CASE WHEN i %% 400 = 3 THEN '347' || lpad(i::text, 8, '0') ELSE {KEY} END AS mobile, "
    f"'Ana ' || i || CASE WHEN i %% 200 = 0 THEN ' B' ELSE '' END AS name FROM {SERIES}",
    WITH_NOTE,
    {"updated": 0.005, "added": 0.0025, "deleted": 0.0025, "unchanged": 0.9925},
)
FIRST_LOAD = Case("first load", PLAIN, NOBODY, {"added": 1})
HALF_REJECTED = Case(
    "half of the e-mails rejected",
    f"SELECT CASE WHEN i %% 2 = 0 THEN 'u' || i || '@example.com' ELSE 'nobody ' || i END AS email, "
    f"'Ana ' || i AS name FROM {SERIES}",
    f"SELECT 'u' || i || '@Example.COM', 'Ana ' || i, 'by hand' FROM {SERIES} WHERE i %% 2 = 0",
    {"rejected": 0.5, "unchanged": 0.5},
    {"invalid_rows": "reject", "max_rejected": 1.0},
    key_field="email",
)
ROWS_TWICE = Case(
    "national numbers, each twice, with long values",
    f"SELECT '6' || lpad((i %% (%(n)s / 2))::text, 8, '0') AS mobile, repeat('n', 400) || i / (%(n)s / 2) AS name "
    f"FROM {SERIES} ORDER BY i",
    f"SELECT '0034 6' || lpad(i::text, 8, '0'), repeat('n', 400) || '1', repeat('x', 400) FROM {SERIES} "
    "WHERE i < %(n)s / 2",
    {"duplicates": 0.5, "unchanged": 0.5},
    {"default_region": "ES", "duplicates": "last"},
)
DOUBLED = Case(
    "each contact twice in the group",
    f"SELECT {KEY} AS mobile, 'Ana ' || i AS name FROM {SERIES} WHERE i < %(n)s / 2",
    f"SELECT '346' || lpad((i %% (%(n)s / 2))::text, 8, '0'), 'Ana ' || i %% (%(n)s / 2), 'by hand' FROM {SERIES}",
    {"unchanged": 0.5},
    {"mode": "upsert"},
)
HALF_GONE = Case(
    "a mirror that deletes half, of contacts there twice",
    f"SELECT {KEY} AS mobile, 'Ana ' || i AS name FROM {SERIES} WHERE i < %(n)s / 4",
    DOUBLED.group,
    {"unchanged": 0.25, "deleted": 0.5, "deleted_duplicates": 0.25},
    {"max_deletes": 1.0},
)

CASES = [(case, MANY) for case in (NO_CHANGE, CHURN, FIRST_LOAD, HALF_REJECTED)]
LONG_CASES = [
    *((case, MANY) for case in (ROWS_TWICE, DOUBLED, HALF_GONE)),
    *((case, MOST) for case in (NO_CHANGE, CHURN, FIRST_LOAD)),
]


@dataclass(frozen=True)
class Measured:
    """What a refresh took, and what it counted."""

    peak_kib: int
    seconds: float
    value: dict[str, Any]


Refresh = Callable[[Case, int], Measured]


@pytest.fixture
def refresh(postgres: psycopg.Connection, make_conn: Callable[..., None], tmp_path: Path) -> Refresh:
    """Make the table and the group of a case, and run its refresh."""

    def run(case: Case, rows: int) -> Measured:
        postgres.execute("DROP TABLE IF EXISTS customers")
        postgres.execute(f"CREATE TABLE customers AS {case.wanted}".replace("%(n)s", str(rows)).replace("%%", "%"))
        database = tmp_path / f"sandbox-{rows}.sqlite"
        group = seeded(database, case, rows, postgres)
        with subprocess.Popen(
            [sys.executable, "-m", "airflow_provider_afilnet.sandbox", "--port", "0", "--database", str(database)],
            stdout=subprocess.PIPE,
            text=True,
        ) as sandbox:
            assert sandbox.stdout is not None
            try:
                url = sandbox.stdout.readline().split()[3]
                extra = {"max_requests_per_second": 0}
                make_conn("afilnet_default", conn_type="afilnet", host=url, login="demo", password="demo", extra=extra)
                measured = measure(case, group, tmp_path / f"report-{rows}")
            finally:
                sandbox.terminate()
        assert_right(database, group, case, rows, measured, postgres)
        return measured

    return run


def seeded(database: Path, case: Case, rows: int, postgres: psycopg.Connection) -> str:
    """Make the sandbox's file with the group, and answer its id."""
    with Sandbox(path=str(database)) as sandbox:
        group = sandbox.create_group("g", case.key_field, [case.key_field, "name", "note"])
        query = case.group.replace("%(n)s", str(rows)).replace("%%", "%")
        with postgres.transaction(), postgres.cursor(name="group") as cursor:
            cursor.execute(query)
            while page := cursor.fetchmany(10_000):
                names = (case.key_field, "name", "note")
                sandbox.add_contacts(group, [dict(zip(names, contact, strict=True)) for contact in page])
    return group


def measure(case: Case, group: str, report: Path) -> Measured:
    task = {
        "group_id": group,
        "sql": "SELECT * FROM customers",
        "settle": 1,
        "report_path": str(report),
        **case.options,
    }
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, str(HERE / "task_process.py"), json.dumps(task)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert "ended: success" in done.stdout, done.stdout[-3000:]
    said = dict(line.split(": ", 1) for line in done.stdout.splitlines() if line.startswith(("value: ", "peak: ")))
    return Measured(int(said["peak"]), time.monotonic() - started, json.loads(said["value"]))


def assert_right(
    database: Path, group: str, case: Case, rows: int, measured: Measured, postgres: psycopg.Connection
) -> None:
    """The counts are as expected, and the group has the names of the table."""
    assert {name: measured.value[name] / rows for name in case.expected} == pytest.approx(case.expected)
    if case.key_field != "mobile" or case.options.keys() - {"unknown_columns"}:
        return
    with Sandbox(path=str(database)) as sandbox:
        held = sorted((contact["mobile"], contact["name"]) for contact in sandbox.contacts(group))
    assert held == postgres.execute('SELECT mobile, name FROM customers ORDER BY mobile COLLATE "C"').fetchall()


def names(case: tuple[Case, int]) -> str:
    return f"{case[0]}, {case[1]:,}"


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("case", [*CASES, *(LONG_CASES if LONG else ())], ids=names)
def test_memory_is_flat(case: tuple[Case, int], refresh: Refresh) -> None:
    kind, rows = case
    few, many = refresh(kind, FEW), refresh(kind, rows)
    growth = many.peak_kib - few.peak_kib
    print(
        f"{kind}: {FEW:,} rows {few.peak_kib / 1024:.0f} MiB, {few.seconds:.1f} s; "
        f"{rows:,} rows {many.peak_kib / 1024:.0f} MiB, {many.seconds:.1f} s; {growth / 1024:+.1f} MiB"
    )
    assert growth <= ALLOWED_KIB
