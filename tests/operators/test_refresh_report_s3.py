"""A report on S3 through Airflow: a connection in the environment, ObjectStoragePath, and a real server."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from s3_server import KEY, SECRET, S3Server
from task_logs import Logs

from airflow_provider_afilnet.exceptions import AfilnetConfigurationError
from airflow_provider_afilnet.refresh.errors import AfilnetReportError
from airflow_provider_afilnet.sandbox import Sandbox
from airflow_provider_afilnet.transfers.sql_to_afilnet_group import SqlToAfilnetGroupOperator

pytestmark = pytest.mark.usefixtures("afilnet_conn")

Run = Callable[..., Any]

BEFORE = [{"mobile": f"3460000000{n}", "name": f"Name {n}"} for n in range(6)]


@pytest.fixture
def s3(make_conn: Callable[..., None]) -> Iterator[S3Server]:
    server = S3Server()
    make_conn(server.conn_id, **server.connection)
    yield server
    server.stop()


@pytest.fixture
def group(sandbox: Sandbox) -> str:
    return sandbox.create_group("customers", "mobile", ["mobile", "name"], BEFORE)


@pytest.fixture
def task(tmp_path: Path, make_conn: Callable[..., None], s3: S3Server, group: str) -> Callable[..., Any]:
    """A mirror that changes 0 to 2, deletes 5 and adds 8."""
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as database:
        database.execute("create table customers (mobile text, name text)")
        rows = [(f"3460000000{n}", "New" if n < 3 else f"Name {n}") for n in (0, 1, 2, 3, 4, 8)]
        database.executemany("insert into customers values (?, ?)", rows)
    database.close()
    make_conn("shop", conn_type="sqlite", host=str(path))
    return lambda **options: SqlToAfilnetGroupOperator(
        **{
            "task_id": "t",
            "group_id": group,
            "sql": "select mobile, name from customers",
            "sql_conn_id": "shop",
            "mode": "mirror",
            "settle": 0.2,
            "report_path": f"s3://{s3.conn_id}@{s3.bucket}/afilnet/{{{{ run_id }}}}",
            **options,
        }
    )


def lines(s3: S3Server, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in s3.read(f"afilnet/manual__t/{name}").splitlines()]


def test_the_report_is_in_the_bucket(run_task: Run, s3: S3Server, task: Callable[..., Any]) -> None:
    result = run_task(task())
    assert result.state == "success", result.error
    assert set(s3.sizes()) == {
        f"afilnet/manual__t/{name}" for name in ("report.json", "rejects.jsonl", "backup.jsonl", "journal.jsonl")
    }
    report = json.loads(s3.read("afilnet/manual__t/report.json"))
    assert (report["status"], report["result"]) == ("success", result.value)
    assert result.value["report_path"] == f"s3://{s3.conn_id}@{s3.bucket}/afilnet/manual__t"
    assert lines(s3, "backup.jsonl") == [BEFORE[0], BEFORE[1], BEFORE[2], BEFORE[5]]
    assert sorted(line["operation"] for line in lines(s3, "journal.jsonl")) == ["add", "delete"] + ["update"] * 3
    assert {line["outcome"] for line in lines(s3, "journal.jsonl")} == {"acked"}


def test_a_retry_appends(run_task: Run, s3: S3Server, sandbox: Sandbox, task: Callable[..., Any]) -> None:
    sandbox.fail("error", methods="deletecontact", code="SOME_REASON")
    assert run_task(task(retries=1)).state == "failed"
    first = lines(s3, "backup.jsonl"), lines(s3, "journal.jsonl")
    sandbox.clear_faults()
    result = run_task(task(retries=1), try_number=2)
    assert result.state == "success", result.error
    assert lines(s3, "backup.jsonl") == [*first[0], BEFORE[5]]
    assert [line["outcome"] for line in lines(s3, "journal.jsonl")[len(first[1]) :]] == ["acked"]


def test_a_dry_run_shows_its_plan(run_task: Run, s3: S3Server, sandbox: Sandbox, task: Callable[..., Any]) -> None:
    result = run_task(task(dry_run=True))
    assert result.state == "success", result.error
    assert sandbox.writes == 0
    assert [(line["operation"], line["outcome"]) for line in lines(s3, "journal.jsonl")] == [
        (operation, "planned") for operation in ("add", "update", "update", "update", "delete")
    ]
    assert not any(name.endswith("backup.jsonl") for name in s3.sizes())


@pytest.mark.parametrize(
    ("trouble", "says"),
    [("refused", "PermissionError"), ("no bucket", "FileNotFoundError"), ("unreachable", "EndpointConnectionError")],
)
def test_a_storage_that_cannot_be_used_ends_the_task_for_good(
    run_task: Run, s3: S3Server, sandbox: Sandbox, task: Callable[..., Any], trouble: str, says: str, logs: Logs
) -> None:
    if trouble == "refused":
        s3.refuse()
    elif trouble == "no bucket":
        s3.drop_bucket()
    else:
        s3.stop()
    result = run_task(task(retries=3))
    assert result.state == "failed"
    assert isinstance(result.error.__cause__, AfilnetConfigurationError)
    assert "report_path cannot be used" in str(result.error)
    assert says in str(result.error)
    assert sandbox.calls == []
    assert "34600000" not in logs.text
    for told in (str(result.error), repr(result.error.__cause__)):
        assert SECRET not in told
        assert KEY not in told


def test_a_report_that_is_lost_at_the_end_is_retried(
    run_task: Run, s3: S3Server, sandbox: Sandbox, task: Callable[..., Any]
) -> None:
    """Everything is written when the bucket goes; the next try finds the group right and reports that."""
    waiting = s3.when(lambda: sandbox.count("getcontacts") > 1, s3.drop_bucket)
    sandbox.fail("latency", methods="getcontacts", seconds=0.5, after=1)
    result = run_task(task(retries=1))
    waiting.join()
    assert result.state == "up_for_retry"
    assert isinstance(result.error, AfilnetReportError)
    assert "3 updated" in str(result.error)
    s3.make_bucket()
    again = run_task(task(retries=1), try_number=2)
    assert again.state == "success", again.error
    assert (again.value["unchanged"], again.value["rounds"]) == (6, 0)
    assert json.loads(s3.read("afilnet/manual__t/report.json"))["status"] == "success"
