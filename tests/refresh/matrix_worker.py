"""What one process of the fault matrix does: run a real refresh task under a fault, run it again, look at everything.

Airflow's task runner keeps the running task's supervisor in a module, so that one process can run one task at a time;
the cases mostly wait, so several processes run at once.
"""

from __future__ import annotations

import io
import json
import logging
import os
import re
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from matrix_cases import BATCH, COLUMNS, LONG_WAIT, SETTLE, SIZE, TIMEOUT, TRACES, Case, before, wanted
from refresh_world import bag

PASSWORD = "Passw0rd-Zaragoza-77"
SECRETS = re.compile("|".join(map(re.escape, ("Zaragoza", *TRACES.values()))), re.IGNORECASE)

QUERIES = {"sqlite": "SELECT * FROM people", "postgres": "SELECT * FROM matrix.people"}
"""Source to the query of the wanted people; the source is also the id of its Airflow connection."""

_METHOD_NAMES = re.compile(r"\b(?:add|get|modify|delete)(?:contact|column|group)\w*")
_COUNTS = re.compile(r"\b\d+ (?:contacts|calls|rows|deletions|keys)\b")
_MASKED = re.compile(r"\w\*{3,}")


@dataclass
class Found:
    """What one case came to. ``wrong``: what should not be; ``said``: the message of the first run if it was red."""

    state: str = ""
    hits: int = 0
    said: str = ""
    wrong: list[str] = field(default_factory=list)
    calls: dict[str, int] = field(default_factory=dict)

    @property
    def green(self) -> bool:
        return self.state == "success"


class Output:
    """Everything that this process logs or prints: Airflow's own loggers write to stdout, past :mod:`logging`."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile("a+b", buffering=0)  # noqa: SIM115 it lives as long as the process
        sys.stdout.flush()
        sys.stderr.flush()
        for stream in (1, 2):
            os.dup2(self._file.fileno(), stream)
        self._records = io.StringIO()
        handler = logging.StreamHandler(self._records)
        handler.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))
        root = logging.getLogger()
        root.setLevel(logging.DEBUG)
        for logger in (root, *(logging.getLogger(name) for name in root.manager.loggerDict)):
            # What does not go up to the root would be missed there.
            if logger is root or not logger.propagate:
                logger.addHandler(handler)

    def clear(self) -> None:
        sys.stdout.flush()
        os.ftruncate(self._file.fileno(), 0)
        self._records.seek(0)
        self._records.truncate()

    @property
    def printed(self) -> str:
        sys.stdout.flush()
        return os.pread(self._file.fileno(), os.fstat(self._file.fileno()).st_size, 0).decode("utf-8", "replace")

    @property
    def logged(self) -> str:
        return self._records.getvalue()


_OUTPUT: Output


def start(connections: Mapping[str, str]) -> None:
    """Get a new process ready: import what every case needs, and catch all output.

    :param connections: id to JSON of the Airflow connections of the sources.
    """
    import airflow.sdk.execution_time.task_runner
    from airflow.providers.postgres.hooks import postgres
    from airflow.providers.sqlite.hooks import sqlite

    from airflow_provider_afilnet.transfers import sql_to_afilnet_group

    assert all((airflow.sdk.execution_time.task_runner, postgres, sqlite, sql_to_afilnet_group))
    global _OUTPUT
    _OUTPUT = Output()
    for conn_id, text in connections.items():
        os.environ[f"AIRFLOW_CONN_{conn_id.upper()}"] = text


def connect(sandbox: Any, style: str) -> None:
    """Define ``afilnet_default``."""
    os.environ["AIRFLOW_CONN_AFILNET_DEFAULT"] = json.dumps(
        {
            "conn_type": "afilnet",
            "host": sandbox.url,
            "login": sandbox.user,
            "password": sandbox.password,
            "extra": {"max_requests_per_second": 0, "timeout": TIMEOUT, "api_style": style},
        }
    )


def run_task(task: Any, **options: Any) -> Any:
    from airflow_run import run_one_task

    with pytest.MonkeyPatch.context() as patch:
        return run_one_task(task, patch, **options)


# --- one case --------------------------------------------------------------------------------------------------------


def healthy_calls(style: str) -> dict[str, int]:
    """How often a run without any fault calls each method."""
    found = _in_a_sandbox(None, "sqlite", False, style)
    assert not found.wrong, found.wrong
    return found.calls


def try_case(case: Case) -> Found:
    """A task under a fault, and the same task without it."""
    return _in_a_sandbox(case, case.source, case.bulk_dedupes, case.style)


def _in_a_sandbox(case: Case | None, source: str, bulk_dedupes: bool, style: str) -> Found:
    from airflow_provider_afilnet.sandbox import Sandbox
    from airflow_provider_afilnet.sandbox.dialect import Dialect

    _OUTPUT.clear()
    with (
        Sandbox(user="matrix", password=PASSWORD, dialect=Dialect(bulk_dedupes=bulk_dedupes)) as sandbox,
        tempfile.TemporaryDirectory() as folder,
    ):
        connect(sandbox, style)
        return _Trial(sandbox, Path(folder), source).run(case)


class _Trial:
    """One group in one sandbox, and what was found wrong with what the task did to it."""

    def __init__(self, sandbox: Any, folder: Path, source: str) -> None:
        self.sandbox = sandbox
        self.folder = folder
        self.source = source
        self.group = sandbox.create_group("people", "mobile", COLUMNS, before())
        self.found = Found()

    def run(self, case: Case | None) -> Found:
        found = self.found
        fault = case and self.sandbox.fail(case.kind, methods=case.method, **case.detail, **case.when)
        self.sandbox.clear_calls()
        first = self._run_the_task("first", report=case is None or case.report)
        found.state, found.calls = first.state, dict(Counter(call.method for call in self.sandbox.calls))
        if first.state != "success":
            found.said = str(first.error)
            if not says_why(found.said):
                found.wrong.append(f"red without saying what: {found.said!r}")
        self._check_nobody_is_harmed()
        if fault and case:
            found.hits = fault.hits
            fault.remove()
            if not fault.hits:
                found.wrong.append("the fault hit no call")
            # What a time-out left behind lands before the next run; a run in between is another test's.
            if case.lands_after > TIMEOUT:
                time.sleep(LONG_WAIT)
        second = self._run_the_task("second", report=False)
        if second.state != "success":
            found.wrong.append(f"the healthy run is red: {second.error} (first: {found.said or 'green'})")
        if case is None and not all(TRACES[part] in self._report() for part in ("phone", "name", "mail")):
            found.wrong.append("the report, the only place for people, lacks them")
        return found

    def _run_the_task(self, which: str, *, report: bool) -> Any:
        from airflow.sdk import Asset

        from airflow_provider_afilnet.transfers.sql_to_afilnet_group import SqlToAfilnetGroupOperator

        task = SqlToAfilnetGroupOperator(
            task_id="refresh",
            sql=QUERIES[self.source],
            sql_conn_id=self.source,
            group_id=self.group,
            mode="mirror",
            unknown_columns="create",
            max_deletes=SIZE,
            batch_size=BATCH,
            settle=SETTLE,
            report_path=str(self.folder) if report else None,
            outlets=[Asset(name="people", uri="afilnet://group/people")],
            retries=1,
        )
        result = run_task(task)
        wrong = self.found.wrong
        if result.state == "success":
            if self._stored() != bag(wanted()):
                wrong.append(f"the {which} run is green, and the group is not exact: {self._difference()}")
            events = getattr(result.message, "outlet_events", None) or []
            if not result.value or [event["extra"] for event in events] != [result.value]:
                wrong.append(f"the {which} run is green, and its asset event is not its result: {events}")
        wrong += [f"the {which} run leaves {leak}" for leak in leaks(result, _OUTPUT, self.folder)]
        return result

    def _report(self) -> str:
        return "".join(path.read_text() for path in self.folder.rglob("*.json*"))

    def _stored(self) -> Counter[str]:
        contacts = self.sandbox.contacts(self.group)
        return bag({name: value for name, value in contact.items() if name != "idcontact"} for contact in contacts)

    def _difference(self) -> str:
        stored, right = self._stored(), bag(wanted())
        return f"{sum((right - stored).values())} contacts lacking, {sum((stored - right).values())} too many"

    def _check_nobody_is_harmed(self) -> None:
        """Green or red: whoever was there and is wanted is there still, and each contact is as it was or as wanted."""
        stored = self._stored()
        known = bag(before()) | bag(wanted())
        keys = Counter(json.loads(text)["mobile"] for text in stored.elements())
        staying = {contact["mobile"] for contact in before()} & {contact["mobile"] for contact in wanted()}
        if lost := staying - keys.keys():
            self.found.wrong.append(f"{len(lost)} wanted contacts are gone after a {self.found.state} run")
        if strange := stored.keys() - known.keys():
            self.found.wrong.append(f"{len(strange)} contacts are neither as they were nor as wanted")


def says_why(message: str) -> bool:
    """Whether a message is about something that can be looked up: a method, a number of things, a masked contact."""
    return any(pattern.search(message) for pattern in (_METHOD_NAMES, _COUNTS, _MASKED))


# --- what a task leaves behind ---------------------------------------------------------------------------------------


def leaks(result: Any, output: Output, report: Path | None = None) -> list[str]:
    """Where a secret or a person stands: in logs, prints, XComs, rendered fields, asset events, errors, anywhere.

    In the report folder people may stand, and the password may not.
    """
    where = {
        "the log": output.logged,
        "the output": output.printed,
        "XCom": repr(result.xcoms),
        "the result's message": repr(result.message),
        "the task": repr(result.task),
        "the hook": repr(vars(result.task.hook)) if hasattr(result.task, "hook") else "",
        "the error": "\n".join(_chain(result.error)),
    }
    for message in result.sent:
        # What the masker is told to mask goes to it in clear.
        if (kind := type(message).__name__) != "MaskSecret":
            where[kind] = where.get(kind, "") + repr(message)
    found = [f"{match[0]!r} in {place}" for place, text in where.items() if (match := SECRETS.search(text))]
    if report is not None:
        found += [f"the password in {path.name}" for path in report.rglob("*.json*") if "Zaragoza" in path.read_text()]
    return found


def _chain(error: BaseException | None) -> Iterator[str]:
    """Everything that an error can be made to say, and all that it comes from, suppressed or not."""
    todo, seen = [error], set[int]()
    while todo:
        one = todo.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield from (str(one), repr(one), repr(one.args), repr(vars(one)))
        yield "".join(traceback.format_exception(one))
        todo += [one.__cause__, one.__context__]


def leaks_of_a_talkative_task() -> dict[str, list[str]]:
    """What the search finds of a task that tells people everywhere: way of telling to finds."""
    from airflow.sdk import Asset, BaseOperator

    someone = before()[1]
    asset = Asset(name="people", uri="afilnet://group/people")

    class Talkative(BaseOperator):
        template_fields = ("told",)

        def __init__(self, way: str, **kwargs: Any) -> None:
            super().__init__(task_id="talkative", outlets=[asset], **kwargs)
            self.way = way
            self.told = someone["mobile"] if way == "rendered" else ""

        def execute(self, context: Any) -> Any:
            if self.way == "own log":
                self.log.info("Adding %s", someone["mobile"])
            elif self.way == "library log":
                logging.getLogger("some.library").debug("POST mobile=%s", someone["mobile"])
            elif self.way == "print":
                print(someone["name"])
            elif self.way == "result":
                return {"last": someone["mail"]}
            elif self.way == "event":
                context["outlet_events"][asset].extra = {"last": someone["mobile"]}
            elif self.way == "error":
                raise ValueError(f"Cannot add {someone['mobile']}")
            elif self.way == "suppressed cause":
                try:
                    raise ValueError(PASSWORD)
                except ValueError:
                    raise RuntimeError("It failed") from None
            return None

    found = {}
    for way in ("own log", "library log", "print", "result", "event", "rendered", "error", "suppressed cause", "-"):
        _OUTPUT.clear()
        found[way] = leaks(run_task(Talkative(way=way)), _OUTPUT)
    return found
