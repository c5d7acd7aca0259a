"""Every fault at every method that a refresh calls, at the first, every second and the last call, as real tasks.

Each case runs the transfer in Airflow's task runner, from SQLite or PostgreSQL, once under a fault and once without
it. Green means exact; red says why; the healthy run heals. Nobody is named anywhere but in the report folder.
"""

from __future__ import annotations

import json
import multiprocessing
import sqlite3
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any

import pytest
from matrix_cases import COLUMNS, CREATED, LONG, METHODS, STYLES, VARIANTS, Case, cases_of, wanted
from matrix_worker import Found, healthy_calls, leaks_of_a_talkative_task, start, try_case

from airflow_provider_afilnet.sandbox.faults import KINDS

# A case mostly waits, for time-outs, for the group to settle, between two tries.
WORKERS = 8
IMPORTED_ONCE = [
    "airflow.sdk.execution_time.task_runner",
    "airflow.providers.postgres.hooks.postgres",
    "airflow.providers.sqlite.hooks.sqlite",
    "airflow_provider_afilnet.refresh.engine",
    "airflow_provider_afilnet.sandbox",
    "airflow_provider_afilnet.transfers.sql_to_afilnet_group",
]

pytestmark = pytest.mark.timeout(3600 if LONG else 300)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory, postgres_uri: str) -> Iterator[dict[str, str]]:
    """The wanted people in an SQLite file and in a PostgreSQL table: connection id to the connection as JSON."""
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    names = (*COLUMNS, *CREATED)
    rows = [tuple(row.get(name) for name in names) for row in wanted()]
    columns = ", ".join(f"{name} TEXT" for name in names)
    path = tmp_path_factory.mktemp("matrix") / "people.db"
    with sqlite3.connect(path) as database:
        database.execute(f"CREATE TABLE people ({columns})")
        database.executemany(f"INSERT INTO people VALUES ({', '.join('?' * len(names))})", rows)
    database.close()
    where = conninfo_to_dict(postgres_uri)
    with psycopg.connect(postgres_uri, autocommit=True) as server:
        server.execute("CREATE SCHEMA matrix")
        server.execute(f"CREATE TABLE matrix.people ({columns})")
        with server.cursor() as cursor:
            cursor.executemany(f"INSERT INTO matrix.people VALUES ({', '.join(['%s'] * len(names))})", rows)
        yield {
            "sqlite": json.dumps({"conn_type": "sqlite", "host": str(path)}),
            "postgres": json.dumps(
                {
                    "conn_type": "postgres",
                    "host": where["host"],
                    "login": where.get("user"),
                    "password": where.get("password"),
                    "schema": where.get("dbname"),
                    "port": where.get("port"),
                }
            ),
        }
        server.execute("DROP SCHEMA matrix CASCADE")


@pytest.fixture(scope="module")
def pool(sources: dict[str, str]) -> Iterator[ProcessPoolExecutor]:
    """Processes that have Airflow loaded, all copies of one that has."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED_ONCE)
    with ProcessPoolExecutor(WORKERS, mp_context=context, initializer=start, initargs=(sources,)) as made:
        yield made
        made.shutdown(cancel_futures=True)


@pytest.fixture(scope="module")
def healthy(pool: ProcessPoolExecutor) -> dict[str, int]:
    """How often a healthy run calls each method."""
    counted = pool.submit(healthy_calls, STYLES[0]).result()
    assert set(counted) == set(METHODS)
    return counted


@pytest.fixture(scope="module")
def started(
    request: pytest.FixtureRequest, pool: ProcessPoolExecutor, healthy: dict[str, int]
) -> dict[str, list[tuple[Case, Future[Found]]]]:
    """All cases of the selected tests, under way, so that no test waits for another one's last case."""
    selected = {item.callspec.params.get("method") for item in request.session.items if hasattr(item, "callspec")}
    return {
        method: [(case, pool.submit(try_case, case)) for case in cases_of(method, healthy[method])]
        for method in METHODS
        if method in selected
    }


@pytest.fixture(scope="module")
def tally(request: pytest.FixtureRequest) -> Iterator[Counter[str]]:
    """How many cases ended in which state; printed at the end."""
    counted = Counter[str]()
    yield counted
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(f"\nthe fault matrix tried {counted.total()} cases: {shown(counted)}", end="")


def shown(states: Counter[str]) -> str:
    return ", ".join(f"{number} {state}" for state, number in states.most_common())


@pytest.mark.parametrize("method", METHODS)
def test_every_fault(
    started: dict[str, list[tuple[Case, Future[Found]]]], tally: Counter[str], method: str, capsys: Any
) -> None:
    states = Counter[str]()
    wrong = []
    for case, future in started[method]:
        found = future.result()
        states[found.state] += 1
        wrong += [f"{case}: {trouble}" for trouble in found.wrong]
    tally.update(states)
    with capsys.disabled():
        print(f"\n{states.total()} cases at {method}: {shown(states)}", end="")
    assert not wrong, "\n".join([f"{len(wrong)} things are wrong", *wrong])
    # Were no run green or none red, the faults would be too weak or too strong to tell anything.
    assert states["success"] >= 10
    assert states.total() - states["success"] >= 10


def test_every_fault_of_the_sandbox_has_cases() -> None:
    assert set(VARIANTS) == set(KINDS)
    tried = {case.kind for method in METHODS for case in cases_of(method, 3)}
    assert tried == set(KINDS)
    for kind, variants in VARIANTS.items():
        assert variants, kind
        assert all(set(variant.detail) <= set(KINDS[kind].detail) for variant in variants), kind


def test_the_search_for_people_finds_them_wherever_they_are_told(pool: ProcessPoolExecutor) -> None:
    found = pool.submit(leaks_of_a_talkative_task).result()
    assert found.pop("-") == []
    places = {way: " ".join(leaks) for way, leaks in found.items()}
    for way, place in {
        "own log": "the output",
        "library log": "the log",
        "print": "the output",
        "result": "XCom",
        "event": "the result's message",
        "rendered": "SetRenderedFields",
        "error": "the error",
        "suppressed cause": "the error",
    }.items():
        assert f"in {place}" in places[way], (way, places)
