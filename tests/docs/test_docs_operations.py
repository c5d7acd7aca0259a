"""``docs/operations.md``: each operator is stopped in each way while its call is under way, and then retried."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from docs.pages import claim, names_in, section, table
from e2e.forked_tasks import ForkServer
from told_to_end import terminated

from airflow_provider_afilnet.api.methods import METHODS
from airflow_provider_afilnet.sandbox import Sandbox

pytestmark = pytest.mark.usefixtures("afilnet_conn")

PAGE = "docs/operations.md"
PROGRESS = claim(PAGE, "text", "writes planned")
EVENTS = ("answer lost", "SIGKILL", "SIGTERM", "execution_timeout")
GROUPS, CONTACTS = "airflow_provider_afilnet.operators.groups", "airflow_provider_afilnet.operators.contacts"
TRANSFERS = "airflow_provider_afilnet.transfers.sql_to_afilnet_group"
SLOW = 0.5
"""Seconds that a call takes which is to be disturbed."""

STORED = [{"mobile": f"3460000001{n}", "name": f"Ana {n}"} for n in range(3)]
ROWS = [{"mobile": f"3460000002{n}", "name": f"Eva {n}"} for n in range(6)]
SPRING = {"name": "spring", "group_type": "mobile", "fields": ["mobile"]}


@dataclass(frozen=True)
class Deed:
    """One row of the table: an operator, its arguments, and the call that is disturbed."""

    module: str
    method: str
    arguments: Mapping[str, Any]
    at_contact: bool = False


REFRESH = {"mode": "mirror", "max_deletes": 1.0, "settle": 1}
# In the table's order; where a row has more than one argument to choose, each is tried.
DEEDS: dict[str, list[Deed]] = {
    "SqlToAfilnetGroupOperator": [
        Deed(
            TRANSFERS,
            "addcontactlist",
            {**REFRESH, "sql_conn_id": "warehouse", "sql": "SELECT mobile, name FROM customers"},
        )
    ],
    "AfilnetUpsertContactsOperator": [Deed(CONTACTS, "addcontactlist", {**REFRESH, "contacts": ROWS})],
    "AfilnetCreateGroupOperator with remember_as": [Deed(GROUPS, "creategroup", {**SPRING, "remember_as": "v"})],
    "AfilnetCreateGroupOperator": [Deed(GROUPS, "creategroup", SPRING)],
    "AfilnetGetGroupColumnsOperator": [Deed(GROUPS, "getgroupcolumns", {})],
    "AfilnetAddGroupColumnOperator": [Deed(GROUPS, "addcolumntogroup", {"field": "city"})],
    "AfilnetDeleteGroupColumnOperator": [Deed(GROUPS, "deletecolumnfromgroup", {"field": "name"})],
    "AfilnetDeleteGroupOperator": [Deed(GROUPS, "deletegroup", {})],
    "AfilnetDeleteGroupOperator with ignore_missing": [Deed(GROUPS, "deletegroup", {"ignore_missing": True})],
    "AfilnetAssignCountryOperator": [Deed(GROUPS, "assigncountrytogroup", {"country": "ES"})],
    "AfilnetGetContactsOperator": [Deed(CONTACTS, "getcontacts", {})],
    "AfilnetGetContactOperator": [Deed(CONTACTS, "getcontact", {}, at_contact=True)],
    "AfilnetAddContactOperator": [Deed(CONTACTS, "addcontact", {"contact": ROWS[0]})],
    "AfilnetAddContactOperator with if_exists": [
        Deed(CONTACTS, "addcontact", {"contact": ROWS[0], "if_exists": word}) for word in ("skip", "update")
    ],
    "AfilnetAddContactListOperator": [Deed(CONTACTS, "addcontactlist", {"contacts": ROWS})],
    "AfilnetModifyContactOperator": [
        Deed(CONTACTS, "modifycontact", {"contact": {**STORED[0], "name": "Eva"}}, at_contact=True)
    ],
    "AfilnetDeleteContactOperator": [Deed(CONTACTS, "deletecontact", {}, at_contact=True)],
    "AfilnetDeleteContactOperator with ignore_missing": [
        Deed(CONTACTS, "deletecontact", {"ignore_missing": True}, at_contact=True)
    ],
}


def told(name: str, event: str) -> str:
    """What the page says."""
    (row,) = [row for row in ROWS_OF_TABLE if row_name(row[0]) == name]
    return row[1 + EVENTS.index(event)]


def row_name(cell: str) -> str:
    """The operator, and the argument that makes it another case."""
    name, *options = names_in(cell)
    return f"{name} with {options[0]}" if options else name


ROWS_OF_TABLE = table(section(PAGE, "Retry, crash, kill and time-out"))


class World:
    """A sandbox with one group, and one deed to be done there."""

    def __init__(self, run_task: Callable[..., Any], sandbox: Sandbox, name: str, deed: Deed) -> None:
        self.run_task, self.sandbox, self.deed = run_task, sandbox, deed
        self.variables: dict[str, str] = {}
        self.operator = name.split()[0]
        self.arguments: dict[str, Any] = {"task_id": "t", "retries": 1, **deed.arguments}
        if deed.method != "creategroup":
            self.arguments["group_id"] = sandbox.create_group("g", "mobile", ["mobile", "name"], STORED)
        if deed.at_contact:
            self.arguments["contact_id"] = sandbox.contacts(self.arguments["group_id"])[0]["idcontact"]

    def state(self) -> list[Any]:
        """All that the sandbox holds, without the ids that depend on how often something was tried."""
        return [
            ({**group, "id": ""}, self.sandbox.country(group["id"]), [_nameless(c) for c in self.contacts(group)])
            for group in self.sandbox.groups()
        ]

    def contacts(self, group: Mapping[str, Any]) -> list[dict[str, str]]:
        return sorted(self.sandbox.contacts(group["id"]), key=lambda contact: contact["mobile"])

    def run(self, try_number: int = 1, **more: Any) -> Any:
        operator = getattr(import_module(self.deed.module), self.operator)
        task = operator(**self.arguments, **more)
        return self.run_task(task, try_number=try_number, variables=self.variables)

    def delay(self, seconds: float = SLOW) -> Any:
        """Let the next call take its time: a write is done at the end of it, whether or not somebody still waits."""
        kind = "late" if METHODS[self.deed.method].writes else "latency"
        return self.sandbox.fail(kind, methods=self.deed.method, seconds=seconds, count=1)

    # --- the four ways to be disturbed; each answers the state of the first try ---

    def answer_lost(self) -> str:
        self.sandbox.fail("drop_after", methods=self.deed.method, count=1)
        return str(self.run().state)

    def told_to_end(self) -> str:
        fault = self.delay()
        with terminated(lambda: fault.hits):
            return str(self.run().state)

    def timed_out(self) -> str:
        # A busy machine may need longer to come to the call.
        for seconds in (0.4, 2.0, 10.0):
            fault = self.delay(seconds + SLOW)
            result = self.run(execution_timeout=timedelta(seconds=seconds))
            if fault.hits:
                time.sleep(SLOW + 0.2)
                return str(result.state)
            self.sandbox.clear_faults()
        raise AssertionError("the time-out always came before the call")

    def killed(self, server: ForkServer, connections: Mapping[str, str], output: Path) -> str:
        fault = self.delay()
        order = {**self.arguments, "operator": f"{self.deed.module}:{self.operator}"}
        task = server.start(order, connections, output)
        end = time.monotonic() + 60
        while not fault.hits:
            assert task.alive, task.output
            assert time.monotonic() < end, task.output
            time.sleep(0.01)
        task.signal(signal.SIGKILL)
        assert task.wait() == -signal.SIGKILL
        time.sleep(SLOW + 0.2)
        for line in re.findall(r"^variable: (.*)$", task.output, re.MULTILINE):
            self.variables.update(json.loads(line))
        # What Airflow does with a task whose worker died, as long as it has retries.
        return "up_for_retry"


def _nameless(contact: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in contact.items() if name != "idcontact"}


@pytest.fixture(scope="module")
def fork_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    with ForkServer(tmp_path_factory.mktemp("forked")) as server:
        yield server


@pytest.fixture
def connections(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The two connections of a task, here and in a process of its own."""
    path = tmp_path / "warehouse.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE customers (mobile TEXT, name TEXT)")
        database.executemany("INSERT INTO customers VALUES (:mobile, :name)", ROWS)
    database.close()
    fields = {"host": sandbox.url, "login": sandbox.user, "password": sandbox.password}
    found = {
        "AIRFLOW_CONN_AFILNET_DEFAULT": json.dumps(
            {"conn_type": "afilnet", **fields, "extra": {"max_requests_per_second": 0}}
        ),
        "AIRFLOW_CONN_WAREHOUSE": json.dumps({"conn_type": "sqlite", "host": str(path)}),
    }
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    return found


def seen(world: World, event: str, done: list[Any], kill: Callable[[World], str]) -> str:
    """What happens, in the page's words; ``done`` is what an undisturbed run leaves."""
    disturb = {
        "answer lost": world.answer_lost,
        "SIGKILL": lambda: kill(world),
        "SIGTERM": world.told_to_end,
        "execution_timeout": world.timed_out,
    }
    first = disturb[event]()
    world.sandbox.clear_faults()
    sent = world.sandbox.count(world.deed.method)
    if first == "success":
        again = None
    elif first == "up_for_retry":
        again = world.run(try_number=2)
    else:
        assert first == "failed"
        return "stops"
    if again is None or again.state == "success":
        return "exact" if world.state() == done else "twice"
    assert again.state == "failed", again.error
    if world.sandbox.count(world.deed.method) == sent:
        return "stops"
    assert world.state() == done
    assert re.search(r"if_exists=|ignore_missing=", str(again.error))
    return "finds it done"


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("name", DEEDS)
def test_the_table_says_what_happens(
    name: str,
    event: str,
    run_task: Callable[..., Any],
    sandbox: Sandbox,
    connections: dict[str, str],
    fork_server: ForkServer,
    tmp_path: Path,
) -> None:
    for deed in DEEDS[name]:
        healthy = World(run_task, sandbox, name, deed)
        assert healthy.run().state == "success"
        done = healthy.state()
        sandbox.reset()
        world = World(run_task, sandbox, name, deed)
        kill = lambda world: world.killed(fork_server, connections, tmp_path / "output")  # noqa: E731
        assert seen(world, event, done, kill) == told(name, event)
        sandbox.reset()


def test_the_table_has_every_operator_in_every_case() -> None:
    assert [row_name(row[0]) for row in ROWS_OF_TABLE] == list(DEEDS)
    named = {name.split()[0] for name in DEEDS}
    assert named == {operator.__name__ for operator in public_operators()}


def public_operators() -> Iterator[type]:
    from airflow.providers.common.compat.sdk import BaseOperator

    for module in map(import_module, (GROUPS, CONTACTS, TRANSFERS)):
        for found in vars(module).values():
            if isinstance(found, type) and issubclass(found, BaseOperator) and found.__module__ == module.__name__:
                yield found


def test_the_progress_line_is_that_of_the_code(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With the counts of the page's line, 10 s after a line and 5 s into a round."""
    from airflow_provider_afilnet.refresh import progress
    from airflow_provider_afilnet.refresh.pace import Pace, StopFlag

    pace = Pace(0, StopFlag())
    told = progress.Progress("1000", pace)
    told.rows, told.contacts = 20_000, 20_000
    told.begin_round(300)
    told.done, pace.calls = 97, 100
    now = time.monotonic()
    told._told_at, told._round_began = now - progress.SECONDS, now - 10 * 97 / 203
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    caplog.set_level("INFO")
    told.tick()
    assert caplog.messages == [PROGRESS.rstrip()]


def test_a_trigger_that_begins_again_keeps_its_deadline_and_asks_at_once(sandbox: Sandbox) -> None:
    """A restarted triggerer makes it anew from what was stored, as the table of the sensors says."""
    import asyncio

    from airflow_provider_afilnet.triggers.groups import AfilnetGroupExistsTrigger

    now = time.time()
    first = AfilnetGroupExistsTrigger(
        afilnet_conn_id="afilnet_default",
        group_id="555",
        started=now - 100,
        deadline=now + 1.5,
        next_look=now - 50,
        poke_interval=60,
    )
    stored = json.loads(json.dumps(first.serialize()[1]))

    async def begin(seconds: float) -> list[Any]:
        """The events of the trigger as it is made anew, ended after so many seconds."""
        fired: list[Any] = []

        async def collect() -> None:
            fired.extend([event.payload async for event in AfilnetGroupExistsTrigger(**stored).run()])

        await asyncio.wait({task := asyncio.create_task(collect())}, timeout=seconds)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return fired

    assert asyncio.run(begin(0.5)) == []
    assert sandbox.count("getgroupcolumns") == 1
    (event,) = asyncio.run(begin(30))
    assert event["status"] == "late"
    assert now + 1.5 <= time.time() < now + 30
    assert sandbox.count("getgroupcolumns") == 3


@pytest.mark.parametrize("mode", ["poke", "reschedule"])
def test_a_size_sensor_whose_connection_nobody_defined_is_retried(
    mode: str, run_task: Callable[..., Any], sandbox: Sandbox
) -> None:
    from airflow_provider_afilnet.sensors.groups import AfilnetGroupSizeSensor

    sensor = AfilnetGroupSizeSensor(
        task_id="t", group_id="1", min_contacts=1, afilnet_conn_id="nobody", mode=mode, retries=1
    )
    assert run_task(sensor).state == "up_for_retry"
