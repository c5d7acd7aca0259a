"""What a refresh hands to Airflow's hook lineage, with a collector that a plugin reads."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import HookLineageCollector
from task_logs import PASSWORD, Logs

from airflow_provider_afilnet.hooks.lineage import connection_uri, path_uri
from airflow_provider_afilnet.operators.contacts import AfilnetUpsertContactsOperator
from airflow_provider_afilnet.sandbox import Sandbox
from airflow_provider_afilnet.transfers.sql_to_afilnet_group import SqlToAfilnetGroupOperator

Run = Callable[..., Any]

try:
    from airflow.sdk import lineage
except ImportError:  # where Airflow 3.0 and 3.1 keep it
    from airflow.lineage import hook as lineage

PHONE, NAME = "34611223344", "Zoraida"
SQL = f"select '{PHONE}' as mobile, '{NAME}' as name where 1 = :one"


@pytest.fixture
def group(sandbox: Sandbox, afilnet_conn: Callable[..., None]) -> str:
    return sandbox.create_group("customers", "mobile", ["mobile", "name"])


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> HookLineageCollector:
    """Airflow's own, as it is once a plugin reads the lineage."""
    found = HookLineageCollector()
    monkeypatch.setattr(lineage, "get_hook_lineage_collector", lambda: found)
    return found


@pytest.fixture
def crm(tmp_path: Path, make_conn: Callable[..., None]) -> None:
    for name in ("crm", "optouts"):
        path = tmp_path / f"{name}.db"
        with sqlite3.connect(path) as database:
            database.execute("create table gone (mobile text)")
            database.execute("insert into gone values ('34600000009')")
        database.close()
        make_conn(name, conn_type="sqlite", host=str(path))


def transfer(group: str, **options: Any) -> SqlToAfilnetGroupOperator:
    asked = {"sql": SQL, "sql_conn_id": "crm", "parameters": {"one": 1}, "group_id": group, "settle": 0.2}
    return SqlToAfilnetGroupOperator(**{"task_id": "t", **asked, **options})


def collected(collector: HookLineageCollector) -> tuple[list[str], list[str]]:
    found = collector.collected_assets
    return [info.asset.uri for info in found.inputs], [info.asset.uri for info in found.outputs]


@pytest.mark.usefixtures("crm")
def test_the_querys_connection_comes_in_and_the_group_goes_out(
    run_task: Run, group: str, collector: HookLineageCollector
) -> None:
    result = run_task(transfer(group))
    assert result.state == "success", result.error
    assert collected(collector) == (["x-airflow-connection://crm"], [f"afilnet://group/{group}"])
    (written,) = collector.collected_assets.outputs
    assert written.context.afilnet_conn_id == "afilnet_default"


@pytest.mark.usefixtures("crm")
@pytest.mark.parametrize(("conn_id", "sources"), [(None, {"crm"}), ("optouts", {"crm", "optouts"})])
def test_opt_outs_are_a_source_too(
    run_task: Run, group: str, collector: HookLineageCollector, conn_id: str | None, sources: set[str]
) -> None:
    result = run_task(transfer(group, suppress_sql="select mobile from gone", suppress_conn_id=conn_id))
    assert result.state == "success", result.error
    assert set(collected(collector)[0]) == {connection_uri(name) for name in sources}


def test_a_file_is_a_source_and_a_list_has_no_name(
    run_task: Run, group: str, collector: HookLineageCollector, tmp_path: Path
) -> None:
    (tmp_path / "in.csv").write_text("mobile\n34600000001\n")
    task = AfilnetUpsertContactsOperator(task_id="t", group_id=group, contacts=str(tmp_path / "in.csv"), settle=0.2)
    assert run_task(task).state == "success"
    task = AfilnetUpsertContactsOperator(task_id="t", group_id=group, contacts=[{"mobile": "34600000002"}], settle=0.2)
    assert run_task(task).state == "success"
    assert collected(collector) == ([f"file://{tmp_path}/in.csv"], [f"afilnet://group/{group}"] * 2)


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("/data/a b.csv", "file:///data/a%20b.csv"),
        ("file:///data/in.csv", "file:///data/in.csv"),
        ("s3://my_conn@bucket/in.csv", "s3://bucket/in.csv"),
        ("https://me:Secreto-1@example.com/in.csv?token=Secreto-2#x", "https://example.com/in.csv"),
    ],
)
def test_the_uri_of_a_file_holds_no_account(path: str, uri: str) -> None:
    assert path_uri(path) == uri


def test_the_uri_of_a_connection_is_one_word() -> None:
    assert connection_uri("a/b c") == "x-airflow-connection://a%2Fb%20c"


@pytest.mark.usefixtures("crm")
@pytest.mark.parametrize("options", [{"dry_run": True}, {"sql": "select 1 as mobile", "parameters": None}])
def test_what_wrote_nothing_has_no_lineage(
    run_task: Run, group: str, collector: HookLineageCollector, options: dict[str, Any]
) -> None:
    run_task(transfer(group, **options))
    assert not collector.has_collected


@pytest.mark.usefixtures("crm")
@pytest.mark.parametrize("broken", ["add_input_asset", "add_output_asset"])
def test_a_collector_that_fails_does_not_fail_the_task(
    run_task: Run,
    sandbox: Sandbox,
    group: str,
    collector: HookLineageCollector,
    monkeypatch: pytest.MonkeyPatch,
    logs: Logs,
    broken: str,
) -> None:
    def fails(**_: Any) -> None:
        raise RuntimeError(f"cannot tell {PHONE}")

    monkeypatch.setattr(collector, broken, fails)
    result = run_task(transfer(group))
    assert result.state == "success", result.error
    assert len(sandbox.contacts(group)) == 1
    assert f"The lineage of group {group} could not be told: RuntimeError." in logs.text
    assert PHONE not in logs.text


@pytest.mark.usefixtures("crm")
def test_nothing_personal_and_no_secret_is_handed_over(
    run_task: Run, group: str, collector: HookLineageCollector
) -> None:
    assert run_task(transfer(group)).state == "success"
    found = collector.collected_assets
    everything = json.dumps([[info.asset.uri, info.asset.name, info.asset.extra] for info in found.inputs])
    everything += json.dumps([[info.asset.uri, info.asset.name, info.asset.extra] for info in found.outputs])
    everything += repr([(info.key, info.value) for info in getattr(found, "extra", [])])
    for secret in (PHONE, NAME, PASSWORD, "select"):
        assert secret not in everything
