"""Links as a worker computes them at the end of a try, and as the web server gives them to a browser."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_afilnet.links.afilnet import AfilnetGroupLink, AfilnetReportLink
from airflow_provider_afilnet.operators.contacts import AfilnetGetContactsOperator, AfilnetUpsertContactsOperator
from airflow_provider_afilnet.operators.groups import AfilnetCreateGroupOperator
from airflow_provider_afilnet.sandbox import Sandbox
from airflow_provider_afilnet.sensors.groups import AfilnetGroupExistsSensor, AfilnetGroupSizeSensor

Run = Callable[..., Any]

PANEL = "https://panel.example.com/groups/{group_id}?from=airflow"
GROUP_KEY, REPORT_KEY = AfilnetGroupLink().xcom_key, AfilnetReportLink().xcom_key


@pytest.fixture
def group(sandbox: Sandbox, afilnet_conn: Callable[..., None]) -> str:
    return sandbox.create_group("customers", "mobile", ["mobile", "name"])


@pytest.fixture
def panel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__AFILNET__PANEL_URL_TEMPLATE", PANEL)


def upsert(group: str, **options: Any) -> AfilnetUpsertContactsOperator:
    contacts = [{"mobile": "34600000001"}]
    return AfilnetUpsertContactsOperator(
        **{"task_id": "t", "group_id": group, "contacts": contacts, "settle": 0.2, **options}
    )


def links(result: Any) -> dict[str, str]:
    return {key: value for (_, key), value in result.xcoms.items() if key.startswith("_link_")}


# --- the group -------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("panel")
def test_a_task_links_to_its_group(run_task: Run, group: str) -> None:
    url = f"https://panel.example.com/groups/{group}?from=airflow"
    read = AfilnetGetContactsOperator(task_id="t", group_id="{{ params.g }}", params={"g": group})
    assert links(run_task(read, finalize=True)) == {GROUP_KEY: url}
    assert links(run_task(upsert(group), finalize=True)) == {GROUP_KEY: url, REPORT_KEY: ""}


@pytest.mark.usefixtures("panel")
@pytest.mark.parametrize("remember_as", [None, "v"])
def test_a_new_and_a_remembered_group_are_linked(run_task: Run, group: str, remember_as: str | None) -> None:
    variables: dict[str, str] = {}
    for _ in range(2):
        task = AfilnetCreateGroupOperator(
            task_id="t", name="g", group_type="mobile", fields="mobile", remember_as=remember_as
        )
        result = run_task(task, finalize=True, variables=variables)
        assert links(result)[GROUP_KEY] == f"https://panel.example.com/groups/{result.value}?from=airflow"


@pytest.mark.usefixtures("panel")
def test_a_red_task_is_linked_too_if_it_knows_its_group(run_task: Run, group: str, sandbox: Sandbox) -> None:
    result = run_task(upsert(group, contacts=[]), finalize=True)
    assert (result.state, links(result)[GROUP_KEY].split("?")[0]) == (
        "failed",
        f"https://panel.example.com/groups/{group}",
    )
    for unknown in (None, "None", " "):
        assert links(run_task(upsert(group, group_id=unknown), finalize=True))[GROUP_KEY] == ""
    sandbox.fail("http_500", methods="creategroup")
    created = AfilnetCreateGroupOperator(task_id="t", name="g", group_type="mobile", fields="mobile")
    assert links(run_task(created, finalize=True))[GROUP_KEY] == ""


@pytest.mark.usefixtures("panel")
def test_a_sensor_links_to_its_group(run_task: Run, group: str, sandbox: Sandbox) -> None:
    """However it waited and ended; while it is deferred the worker has not ended the task."""
    url = f"https://panel.example.com/groups/{group}?from=airflow"
    exists = AfilnetGroupExistsSensor(task_id="t", group_id="{{ params.g }}", params={"g": group}, deferrable=True)
    assert links(run_task(exists, finalize=True)) == {GROUP_KEY: url}
    size = AfilnetGroupSizeSensor(task_id="t", group_id=group, min_contacts=0)
    assert links(run_task(size, finalize=True)) == {GROUP_KEY: url}
    sandbox.fail("error", code="NOT_ACCESS_TO_GROUP")
    late = AfilnetGroupExistsSensor(task_id="t", group_id=group, poke_interval=0.1, timeout=0.3, deferrable=False)
    result = run_task(late, finalize=True)
    assert (result.state, links(result)) == ("failed", {GROUP_KEY: url})
    event = {"status": "exists", "group_id": group, "message": "there"}
    result = run_task(exists, finalize=True, next_method="execute_complete", next_kwargs={"event": event})
    assert (result.state, links(result)) == ("success", {GROUP_KEY: url})


@pytest.mark.usefixtures("panel")
def test_an_id_cannot_lead_elsewhere(run_task: Run, group: str) -> None:
    result = run_task(upsert(group, group_id="../../a?b=c&d#e"), finalize=True)
    assert links(result)[GROUP_KEY] == "https://panel.example.com/groups/..%2F..%2Fa%3Fb%3Dc%26d%23e?from=airflow"


@pytest.mark.parametrize("setting", [None, "", "javascript:alert({group_id})", "/groups/{group_id}", "panel"])
def test_without_an_address_of_the_panel_there_is_no_link(
    run_task: Run, group: str, monkeypatch: pytest.MonkeyPatch, setting: str | None
) -> None:
    if setting is not None:
        monkeypatch.setenv("AIRFLOW__AFILNET__PANEL_URL_TEMPLATE", setting)
    result = run_task(upsert(group), finalize=True)
    assert result.state == "success", result.error
    assert links(result)[GROUP_KEY] == ""


@pytest.mark.usefixtures("panel")
def test_links_cost_no_call(run_task: Run, group: str, sandbox: Sandbox) -> None:
    run_task(upsert(group))
    before = len(sandbox.calls)
    run_task(upsert(group))
    plain = len(sandbox.calls) - before
    result = run_task(upsert(group), finalize=True)
    assert len(sandbox.calls) - before == 2 * plain
    assert not [message for message in result.sent if type(message).__name__ == "GetXCom"]


# --- the report ------------------------------------------------------------------------------------------------------


class Ran:
    """An operator after its run, as far as the link looks at it."""

    def __init__(self, report_folder: str | None) -> None:
        self.report_folder = report_folder


def report_link(folder: str | None) -> str:
    return AfilnetReportLink().get_link(Ran(folder), ti_key=None)  # type: ignore[arg-type]


@pytest.mark.parametrize("folder", [None, "/reports/1", "file:///reports/1", "s3://bucket/1", "s3://conn@bucket/1"])
def test_what_no_browser_opens_is_no_link(folder: str | None) -> None:
    assert report_link(folder) == ""


def test_an_http_folder_is_its_own_link_without_its_secrets() -> None:
    url = report_link("https://me:Secreto-1@files.example.com/reports/run%201?token=Secreto-2#x")
    assert url == "https://files.example.com/reports/run%201/"


TEMPLATES = {
    "/reports": "https://files.example.com/{path}?view=list",
    "/reports/eu/": "https://eu.example.com/{path}",
    "s3://bucket": "https://s3.example.com/buckets/bucket?prefix={path}",
    "https://dav.example.com/": "https://web.example.com/#{path}",
    "file:": "https://never.example.com/{path}",
    "/wrong": "ftp://files.example.com/{path}",
}


@pytest.mark.parametrize(
    ("folder", "url"),
    [
        ("/reports/a+b: c", "https://files.example.com/a%2Bb%3A%20c/?view=list"),
        ("file:///reports/1/", "https://files.example.com/1/?view=list"),
        ("/reports", "https://files.example.com/?view=list"),
        ("/reports/eu/1", "https://eu.example.com/1/"),
        ("/reports2/1", ""),
        ("s3://bucket/a/1", "https://s3.example.com/buckets/bucket?prefix=a/1/"),
        ("s3://my_conn@bucket/a/1", "https://s3.example.com/buckets/bucket?prefix=a/1/"),
        ("s3://bucket2/a/1", ""),
        ("https://dav.example.com/1", "https://web.example.com/#1/"),
        ("https://other.example.com/1", "https://other.example.com/1/"),
        ("/wrong/1", ""),
    ],
)
def test_a_setting_says_how_a_browser_gets_there(monkeypatch: pytest.MonkeyPatch, folder: str, url: str) -> None:
    monkeypatch.setenv("AIRFLOW__AFILNET__REPORT_URL_TEMPLATES", json.dumps(TEMPLATES))
    assert report_link(folder) == url


@pytest.mark.parametrize("setting", ["no json", "[]", "3", '{"/reports": 3}'])
def test_a_setting_that_cannot_be_used_costs_a_link_and_no_more(monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    monkeypatch.setenv("AIRFLOW__AFILNET__REPORT_URL_TEMPLATES", setting)
    assert report_link("/reports/1") == ""
    assert report_link("http://files.example.com/1") == "http://files.example.com/1/"


@pytest.mark.parametrize("red", [False, True])
def test_a_refresh_links_to_its_report(
    run_task: Run, group: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, red: bool
) -> None:
    monkeypatch.setenv(
        "AIRFLOW__AFILNET__REPORT_URL_TEMPLATES", json.dumps({str(tmp_path): "https://files.example.com/{path}"})
    )
    task = upsert(group, report_path=f"file://{tmp_path}/{{{{ run_id }}}}", **({"contacts": []} if red else {}))
    result = run_task(task, finalize=True)
    assert result.state == ("failed" if red else "success")
    assert links(result)[REPORT_KEY] == "https://files.example.com/manual__t/"
    assert (tmp_path / "manual__t" / "report.json").exists()
    again = run_task(upsert(group, report_path=str(tmp_path), mode="wrong"), finalize=True)
    assert links(again)[REPORT_KEY] == "", "the run ended before there was a report"


# --- what the browser gets -------------------------------------------------------------------------------------------


def test_the_serialised_dag_names_the_links_and_the_server_reads_their_addresses(
    run_dag: Callable[..., Any], group: str, panel: None, airflow_home: Path
) -> None:
    result = run_dag(
        "linked",
        f"""
from airflow.sdk import DAG
from airflow_provider_afilnet.operators.contacts import AfilnetUpsertContactsOperator
with DAG("linked", schedule=None) as dag:
    AfilnetUpsertContactsOperator.partial(
        task_id="fill", contacts=[{{"mobile": "34600000001"}}], settle=0.2
    ).expand(group_id=["{group}"])
""",
    )
    assert result.state == "success", result.states
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.models.taskinstancekey import TaskInstanceKey
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        dag = SerializedDagModel.get_dag("linked", session=session)
        (run_id,) = session.scalars(select(XComModel.run_id).filter_by(dag_id="linked", key=GROUP_KEY)).all()
    task = dag.get_task("fill")
    found = {link.name: link for link in task.operator_extra_links}
    assert set(found) == {"Afilnet group", "Afilnet report"}
    key = TaskInstanceKey(dag_id="linked", task_id="fill", run_id=run_id, try_number=1, map_index=0)
    assert found["Afilnet group"].get_link(task, ti_key=key) == PANEL.replace("{group_id}", group)
    assert found["Afilnet report"].get_link(task, ti_key=key) == ""
