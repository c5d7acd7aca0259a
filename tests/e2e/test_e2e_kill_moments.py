"""SIGKILL at any moment of a refresh of 20,000 contacts: one more run makes the group exact, and nobody is there twice.

The moments are spread over every phase of a run. What a phase waits for is what the sandbox has received, or a share of
the time that the phase took in a run which nobody disturbed; so the moments stay where they are on a slower machine.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from threading import local
from typing import Any

import psycopg
import pytest
from forked_tasks import ForkedTask, ForkServer
from psycopg.conninfo import conninfo_to_dict

from airflow_provider_afilnet.sandbox import Sandbox
from airflow_provider_afilnet.sandbox.dialect import Dialect
from airflow_provider_afilnet.sandbox.faults import Fault

SEED = 20_000
LONG = bool(os.environ.get("AFILNET_LONG"))
AT_ONCE = 2

WANTED = 20_000
# The group must not hold a whole number of hundreds: an answer of such a size is doubted, and read once more.
ADDED, UPDATED, REPLACED, DELETED = 6_000, 300, 150, 301
BATCH, CONNECTIONS, PROBES = 500, 4, 3
COLUMNS = ["mobile", "name", "city", "note"]

PHASES = ("spool", "read", "plan", "probe", "bulk", "update", "replace", "delete", "verify")


@dataclass(frozen=True)
class Moment:
    """When a run is killed: in which phase, and after which share of it."""

    phase: str
    share: float


@dataclass(frozen=True)
class Case:
    """A run that is killed; ``second``: the run after it is killed too."""

    number: int
    first: Moment
    second: Moment | None
    source: str
    dedupes: bool

    def __str__(self) -> str:
        moments = [f"{moment.phase}-{moment.share:.2f}" for moment in (self.first, self.second) if moment is not None]
        return "-".join([str(self.number), self.source, "dedupes" if self.dedupes else "adds", *moments])


def cases(number: int) -> list[Case]:
    """Every phase in turn, at random shares; both sources and both kinds of server in turn within each phase."""
    chance = random.Random(SEED)
    made = []
    for n in range(number):
        at = PHASES.index(phase := PHASES[n % len(PHASES)])
        # Phases that the next run will surely go through, too.
        again = [*PHASES[:3], *(name for name in PHASES[5:] if PHASES.index(name) > at)]
        turn = n // len(PHASES) + at
        second = Moment(chance.choice(again), chance.random()) if n % 4 == 3 else None
        made.append(
            Case(n, Moment(phase, chance.random()), second, ("sqlite", "postgres")[turn % 2], turn // 2 % 2 == 0)
        )
    return made


CASES = cases(50 if LONG else 16)


# --- the group and the query -----------------------------------------------------------------------------------------


def phone(n: int) -> str:
    return f"346{n:08d}"


def rows() -> Iterator[tuple[str, str, str]]:
    """What the query answers: the last are in the group already, of these the first are to be replaced or updated."""
    for n in range(WANTED):
        comma = ADDED <= n < ADDED + REPLACED
        yield phone(n), f"Ana, {n}" if comma else f"Ana {n}", f"City {n % 7}"


def before() -> list[dict[str, str]]:
    """The group: each contact has a note, which the query knows nothing of."""
    changed = range(ADDED, ADDED + REPLACED + UPDATED)
    kept = [
        {
            "mobile": phone(n),
            "name": f"{'Old' if n in changed else 'Ana'} {n}",
            "city": f"City {n % 7}",
            "note": note(n),
        }
        for n in range(ADDED, WANTED)
    ]
    gone = [{"mobile": f"347{n:08d}", "name": "Gone", "note": "gone"} for n in range(DELETED)]
    return kept + gone


def note(n: int) -> str:
    return f"by hand {n}"


def after() -> dict[str, dict[str, str]]:
    """The group as it must be: key to values."""
    return {
        mobile: {"mobile": mobile, "name": name, "city": city} | ({"note": note(n)} if n >= ADDED else {})
        for n, (mobile, name, city) in enumerate(rows())
    }


@dataclass
class Timeline:
    """How long the phases took that nothing but time divides, in seconds."""

    spool: float
    plan: float
    verify: float


@dataclass
class World:
    """One group at a server of its own, and what a task needs to refresh it."""

    sandbox: Sandbox
    server: ForkServer
    folder: Path
    warehouse: dict[str, Any]

    def __post_init__(self) -> None:
        self.group = self.sandbox.create_group("g", "mobile", COLUMNS, contacts=before())
        self.temporary = self.server.temporary
        self.report = self.folder / "report"

    def start(self, **more: Any) -> ForkedTask:
        connection = {
            "conn_type": "afilnet",
            "host": self.sandbox.url,
            "login": self.sandbox.user,
            "password": self.sandbox.password,
            "extra": {"max_requests_per_second": 0, "max_connections": CONNECTIONS},
        }
        source = {} if "contacts" in more else {"sql": "SELECT mobile, name, city FROM customers"}
        options = {
            **source,
            "group_id": self.group,
            "unsafe_values": "replace",
            "batch_size": BATCH,
            "settle": 2,
            "report_path": str(self.report),
            **more,
        }
        variables = {
            "AIRFLOW_CONN_AFILNET_DEFAULT": json.dumps(connection),
            "AIRFLOW_CONN_WAREHOUSE": json.dumps(self.warehouse),
            "PGAPPNAME": self.name,
        }
        return self.server.start(options, variables, self.folder / "output")

    @property
    def name(self) -> str:
        """What the database calls the task's session."""
        return f"refresh {self.folder.name}"

    def heal(self, **more: Any) -> None:
        """Run once more, undisturbed."""
        task = self.start(**more)
        assert task.wait() == 0, task.output
        assert "ended: success" in task.output, task.output

    def wait_until_quiet(self) -> None:
        """Until the server has nothing left that the killed process had sent."""
        seen: object = None
        while seen != (seen := (self.sandbox.writes, [call.applied for call in self.sandbox.calls[-8:]])):
            time.sleep(0.05)

    # --- when ---

    def wait_for(self, moment: Moment, timeline: Timeline, task: ForkedTask, done: Callable[[str], int]) -> None:
        """Return at the moment; at once when the task has ended. ``done``: calls received before this run."""
        method, calls, seconds = self._sign(moment, timeline)
        end = time.monotonic() + 60
        while self.sandbox.count(method) - done(method) < calls and task.alive:
            assert time.monotonic() < end, f"no {calls} calls of {method} within a minute"
            time.sleep(0.0005)
        time.sleep(seconds)

    @staticmethod
    def wait_for_hits(fault: Fault, number: int, task: ForkedTask) -> None:
        while fault.hits < number:
            assert task.alive, task.output
            time.sleep(0.001)

    @staticmethod
    def _sign(moment: Moment, timeline: Timeline) -> tuple[str, int, float]:
        """The method and how many calls of it to wait for, and the seconds to wait then."""
        share = moment.share
        # Some tenths of a millisecond, so that the kill does not always hit the same step of a call.
        blink = share % 0.01 / 5
        match moment.phase:
            case "spool":
                return "getgroupcolumns", 1, share * timeline.spool
            case "read":
                return "getcontacts", 1, share * 0.5 * timeline.plan
            case "plan":
                return "getcontacts", 1, (0.5 + share * 0.5) * timeline.plan
            case "probe":
                return "addcontact", 1 + int(share * PROBES), blink
            case "bulk":
                return "addcontactlist", 1 + int(share * ADDED / BATCH), blink
            case "update":
                return "modifycontact", 1 + int(share * UPDATED), blink
            case "replace":
                return "deletecontact", 1 + int(share * REPLACED), blink
            case "delete":
                return "deletecontact", REPLACED + 1 + int(share * (DELETED - 1)), blink
            case "verify":
                # Half of it, so that a run which is quicker than the one that was timed is not over.
                return "getcontacts", 2, share * timeline.verify / 2
        raise AssertionError(moment)

    def kill(self, moment: Moment, timeline: Timeline) -> None:
        """Start a run and kill it at the moment."""
        calls = Counter({method: self.sandbox.count(method) for method in METHODS})
        task = self.start()
        self.wait_for(moment, timeline, task, calls.__getitem__)
        task.signal(signal.SIGKILL)
        assert task.wait() == -signal.SIGKILL, f"the run was over before {moment}: {task.output}"
        assert "ended" not in task.output

    # --- what ---

    def assert_exact(self, kills: int) -> list[str]:
        """Nobody is missing, surplus or there twice, and every value is right; answers the keys that lost their note.

        A contact that was deleted to be replaced when the process was killed is added again from the query, so it
        lacks what the query does not know. The backup has it.
        """
        held = self.sandbox.contacts(self.group)
        assert not [key for key, times in Counter(contact["mobile"] for contact in held).items() if times > 1]
        expected = after()
        shown = {contact.pop("mobile"): contact for contact in held if contact.pop("idcontact")}
        lost = [
            key
            for n in range(ADDED, ADDED + REPLACED)
            if (key := phone(n)) in shown and "note" not in shown[key] and expected[key].pop("note")
        ]
        assert {key: {"mobile": key, **values} for key, values in shown.items()} == expected
        assert len(lost) <= CONNECTIONS * kills
        assert {key: self.backed_up()[key]["note"] for key in lost} == {key: note(int(key[3:])) for key in lost}
        return lost

    def backed_up(self) -> dict[str, dict[str, str]]:
        """Key to the first state that the backup has of it."""
        path = self.report / "backup.jsonl"
        lines = map(json.loads, path.read_text().splitlines()) if path.exists() else iter(())
        found: dict[str, dict[str, str]] = {}
        for contact in lines:
            found.setdefault(contact["mobile"], contact)
        return found

    def sent_twice(self) -> int:
        """How many contacts the server received more than once from adding calls."""
        return sum(times > 1 for times in self.sandbox.sent_rows(self.group).values())

    def bytes_on_disk(self, task: ForkedTask) -> int:
        """What a living task has in its temporary folder, in files without a name as well."""
        return sum(
            path.stat().st_blocks * 512
            for path in Path(f"/proc/{task.pid}/fd").iterdir()
            if str(path.readlink()).startswith(f"{self.temporary}/")
        )

    def assert_nothing_is_left(self, postgres_uri: str) -> None:
        assert list(self.temporary.iterdir()) == []
        with psycopg.connect(postgres_uri) as connection:
            end = time.monotonic() + 10
            while sessions := connection.execute(
                "SELECT state, query FROM pg_stat_activity WHERE application_name = %s", (self.name,)
            ).fetchall():
                assert time.monotonic() < end, f"the database still has {sessions}"
                connection.commit()
                time.sleep(0.02)


METHODS = ("getgroupcolumns", "getcontacts", "addcontact", "addcontactlist", "modifycontact", "deletecontact")


# --- the tests -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def warehouses(postgres_uri: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The same table in both databases: name to the fields of its Airflow connection."""
    path = tmp_path_factory.mktemp("warehouse") / "warehouse.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE customers (mobile TEXT, name TEXT, city TEXT)")
        database.executemany("INSERT INTO customers VALUES (?, ?, ?)", rows())
    with psycopg.connect(postgres_uri, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        connection.execute("CREATE TABLE customers (mobile TEXT, name TEXT, city TEXT)")
        with connection.cursor() as cursor, cursor.copy("COPY customers FROM STDIN") as copy:
            for row in rows():
                copy.write_row(row)
    where = conninfo_to_dict(postgres_uri)
    return {
        "sqlite": {"conn_type": "sqlite", "host": str(path)},
        "postgres": {
            "conn_type": "postgres",
            "host": where["host"],
            "login": where.get("user"),
            "password": where.get("password"),
            "schema": where.get("dbname"),
            "port": where.get("port"),
        },
    }


Make = Callable[..., World]


@pytest.fixture(scope="module")
def make_world(
    warehouses: dict[str, dict[str, Any]], airflow_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Make]:
    """Makes a world; each thread keeps its process that forks tasks."""
    servers: list[ForkServer] = []
    sandboxes: list[Sandbox] = []
    mine = local()

    def make(source: str = "sqlite", dedupes: bool = False) -> World:
        if not hasattr(mine, "server"):
            mine.server = ForkServer(tmp_path_factory.mktemp("temporary"))
            servers.append(mine.server)
        sandbox = Sandbox(dialect=Dialect(bulk_dedupes=dedupes)).start()
        sandboxes.append(sandbox)
        return World(sandbox, mine.server, tmp_path_factory.mktemp("world"), warehouses[source])

    yield make
    for sandbox in sandboxes:
        sandbox.stop()
    for server in servers:
        server.__exit__(None, None, None)


@pytest.fixture(scope="module")
def timeline(make_world: Make) -> Timeline:
    """Of a run that nobody disturbs, which must be right as well."""
    world = make_world()
    task = world.start()
    assert task.wait() == 0, task.output
    ended = time.monotonic()
    assert "ended: success" in task.output
    assert world.assert_exact(kills=0) == []
    assert world.sent_twice() == 0
    counts = {method: world.sandbox.count(method) for method in METHODS}
    # What the moments are counted in: a phase's last call is one of these.
    assert counts == {
        "getgroupcolumns": 1,
        "getcontacts": 2,
        "addcontact": PROBES,
        "addcontactlist": -(-(ADDED - PROBES) // BATCH) + REPLACED,
        "modifycontact": UPDATED,
        "deletecontact": REPLACED + DELETED,
    }
    at = {method: [call.at for call in world.sandbox.calls if call.method == method] for method in METHODS}
    first, second = at["getcontacts"]
    return Timeline(first - at["getgroupcolumns"][0], at["addcontact"][0] - first, ended - second)


def check(case: Case, make_world: Make, timeline: Timeline, postgres_uri: str) -> None:
    world = make_world(case.source, case.dedupes)
    moments = [moment for moment in (case.first, case.second) if moment is not None]
    for moment in moments:
        world.kill(moment, timeline)
        # A healing run has less to verify.
        timeline = replace(timeline, verify=timeline.verify / 2)
        world.assert_nothing_is_left(postgres_uri)
        world.wait_until_quiet()
    world.heal()
    lost = world.assert_exact(kills=len(moments))
    assert world.sent_twice() <= CONNECTIONS * BATCH * len(moments)
    world.assert_nothing_is_left(postgres_uri)
    print(f"{case}: {world.sent_twice()} contacts were sent twice, {len(lost)} came back without their note")
    world.sandbox.stop()


@pytest.fixture(scope="module")
def killed(make_world: Make, timeline: Timeline, postgres_uri: str) -> Iterator[Callable[[Case], None]]:
    """Answers how a case went; two are under way at any moment."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        begun: dict[int, Future[None]] = {}

        def went(case: Case) -> None:
            for ahead in CASES[case.number : case.number + AT_ONCE]:
                if ahead.number not in begun:
                    begun[ahead.number] = pool.submit(check, ahead, make_world, timeline, postgres_uri)
            begun[case.number].result()

        yield went


@pytest.mark.parametrize("case", CASES, ids=str)
def test_killed_then_run_once_more_is_exact(case: Case, killed: Callable[[Case], None]) -> None:
    killed(case)


def test_a_value_that_went_with_a_replacement_comes_back_from_the_backup(make_world: Make) -> None:
    """As ``docs/refresh.md`` says: an upsert of the backup, and then the refresh as always."""
    world = make_world()
    bulk = -(-(ADDED - PROBES) // BATCH)
    # Killed while a contact is away: the server wants a minute's pause before its addition.
    busy = world.sandbox.fail("rate_limited", methods="addcontactlist", retry_after=60, after=bulk + 20)
    task = world.start()
    world.wait_for_hits(busy, 1, task)
    task.signal(signal.SIGKILL)
    assert task.wait() == -signal.SIGKILL
    busy.remove()
    world.heal()
    assert world.assert_exact(kills=1)

    restore = {"duplicates": "first", "unsafe_values": "replace", "mode": "upsert"}
    world.heal(contacts=str(world.report / "backup.jsonl"), report_path=str(world.folder / "restore"), **restore)
    world.heal()
    assert world.assert_exact(kills=0) == []


@pytest.mark.parametrize("dedupes", [False, True], ids=["adds", "dedupes"])
def test_batches_of_the_killed_run_land_while_the_next_one_writes(
    make_world: Make, timeline: Timeline, dedupes: bool
) -> None:
    """The most that a kill can leave: a batch per connection that the server has taken and not yet stored."""
    world = make_world(dedupes=dedupes)
    # After the next run's read, and before its last one: that run pauses as long before its first update.
    pause = 3 * (timeline.spool + timeline.plan) + 2
    late = world.sandbox.fail("late", methods="addcontactlist", seconds=pause, after=2, count=CONNECTIONS)
    task = world.start()
    world.wait_for_hits(late, CONNECTIONS, task)
    task.signal(signal.SIGKILL)
    assert task.wait() == -signal.SIGKILL
    world.sandbox.fail("latency", methods="getcontact", seconds=pause)
    world.heal(max_deletes=0.5)
    assert world.assert_exact(kills=1) == []
    assert 0 < world.sent_twice() <= CONNECTIONS * BATCH


def test_a_store_that_has_grown_onto_the_disk_is_gone_with_the_process(
    make_world: Make, timeline: Timeline, postgres_uri: str
) -> None:
    world = make_world("postgres")
    task = world.start(sql="SELECT mobile, name, repeat('x', 1000) AS city FROM customers")
    world.wait_for(Moment("read", 0.5), timeline, task, lambda method: 0)
    assert world.bytes_on_disk(task) > 10_000_000
    task.signal(signal.SIGKILL)
    assert task.wait() == -signal.SIGKILL
    world.assert_nothing_is_left(postgres_uri)
