"""The URI of a group's Asset, and the events that a refresh leaves at its task's outlets."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import Asset, AssetAlias
from airflow_of import supplied_by_providers

from airflow_provider_afilnet.assets.groups import create_asset, group_uri
from airflow_provider_afilnet.exceptions import AfilnetInvalidRequestError
from airflow_provider_afilnet.operators.contacts import AfilnetUpsertContactsOperator
from airflow_provider_afilnet.sandbox import Sandbox

Run = Callable[..., Any]

BEN = {"mobile": "34611223344", "name": "Zoraida"}


# --- the URI, as Airflow reads it ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "uri"),
    [
        ("afilnet://group/1000", "afilnet://group/1000"),
        ("AFILNET://Group/1000/", "afilnet://group/1000"),
        ("afilnet://group/1000#part", "afilnet://group/1000"),
        ("afilnet://group/%61b", "afilnet://group/ab"),
        ("afilnet://group/a%3Ab", "afilnet://group/a%3Ab"),
    ],
)
def test_every_way_to_write_a_group_is_one_asset(written: str, uri: str) -> None:
    asset = Asset(uri=written)
    assert asset.uri == uri
    assert asset.normalized_uri == uri
    assert Asset(uri=uri).uri == uri


@pytest.mark.parametrize(
    "wrong",
    [
        "afilnet://group",
        "afilnet://group/",
        "afilnet://group/None",
        "afilnet://group/1000/contacts",
        "afilnet://group/10%2F00",
        "afilnet://groups/1000",
        "afilnet://1000",
        "afilnet:1000",
        "afilnet://group/1000?mode=mirror",
        "afilnet://group/{{ params.group }}",
        "afilnet://group/a%20b",
    ],
)
def test_a_uri_that_names_no_group_is_refused_where_the_dag_is_read(wrong: str) -> None:
    with pytest.raises(ValueError, match="afilnet://group/<id>"):
        Asset(uri=wrong)


def test_the_asset_of_a_group() -> None:
    assert create_asset(group_id=1000, extra={"a": 1}) == Asset(uri="afilnet://group/1000", extra={"a": 1})
    assert create_asset(group_id="1000").name == group_uri(1000) == "afilnet://group/1000"
    assert Asset(uri=group_uri("a:b")).uri == group_uri("a:b")
    with pytest.raises(AfilnetInvalidRequestError):
        create_asset(group_id="None")


def test_airflow_makes_the_asset_from_its_scheme() -> None:
    """What the metadata registers: the factory and the handler, found by Airflow itself."""
    supplied = supplied_by_providers()
    assert supplied.asset_factories["afilnet"](group_id="1000", extra=None).uri == "afilnet://group/1000"
    assert "afilnet" in supplied.asset_uri_handlers
    assert "afilnet" in supplied.asset_to_openlineage_converters


def test_the_group_as_openlineage_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its client need not be installed, so something that takes the same arguments stands in for its class."""
    from airflow.providers.common.compat.openlineage import facet

    from airflow_provider_afilnet.assets.groups import convert_asset_to_openlineage

    monkeypatch.setattr(facet, "Dataset", dict)
    made = convert_asset_to_openlineage(create_asset(group_id=1000), None)
    assert made == {"namespace": "afilnet", "name": "group/1000"}


# --- events ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def group(sandbox: Sandbox, afilnet_conn: Callable[..., None]) -> str:
    return sandbox.create_group("customers", "mobile", ["mobile", "name"])


def upsert(group: str, **options: Any) -> AfilnetUpsertContactsOperator:
    return AfilnetUpsertContactsOperator(
        **{"task_id": "t", "group_id": group, "contacts": [BEN], "settle": 0.2, **options}
    )


def sent_events(result: Any) -> list[dict[str, Any]]:
    """What the supervisor was told of assets."""
    assert result.state == "success", result.error
    return list(result.message.outlet_events)


def test_the_event_of_an_outlet_has_counts_digest_and_report_and_nobody(
    run_task: Run, group: str, tmp_path: Any
) -> None:
    asset = Asset(uri=f"afilnet://group/{group}")
    result = run_task(upsert(group, outlets=[asset], report_path=str(tmp_path / "r")))
    (event,) = sent_events(result)
    assert event["dest_asset_key"]["uri"] == f"afilnet://group/{group}"
    assert event["extra"] == result.value
    assert (event["extra"]["added"], event["extra"]["report_path"]) == (1, str(result.task.report_folder))
    assert len(event["extra"]["plan_digest"]) > 8
    assert not any(value in json.dumps(event) for value in BEN.values())


def test_an_alias_gets_an_event_of_the_groups_own_asset(run_task: Run, group: str) -> None:
    result = run_task(upsert("{{ params.g }}", params={"g": group}, outlets=[AssetAlias("afilnet_customers")]))
    (event,) = sent_events(result)
    assert event["source_alias_name"] == "afilnet_customers"
    uri = f"afilnet://group/{group}"
    assert (event["dest_asset_key"]["name"], event["dest_asset_key"]["uri"]) == (uri, uri)
    assert event["extra"] == result.value
    assert not any(value in json.dumps(event) for value in BEN.values())


def test_a_dry_run_makes_no_event_of_an_alias_and_says_so_in_that_of_an_asset(run_task: Run, group: str) -> None:
    outlets = [AssetAlias("afilnet_customers"), Asset(uri=f"afilnet://group/{group}")]
    (event,) = sent_events(run_task(upsert(group, outlets=outlets, dry_run=True)))
    assert event["dest_asset_key"]["uri"] == f"afilnet://group/{group}"
    assert event["extra"]["dry_run"] is True


def test_a_red_task_tells_neither(run_task: Run, group: str) -> None:
    alias, asset = AssetAlias("a"), Asset(uri=f"afilnet://group/{group}")
    result = run_task(upsert(group, contacts=[], outlets=[alias, asset]))
    assert result.state == "failed"
    assert result.context["outlet_events"][alias].asset_alias_events == []
    assert result.context["outlet_events"][asset].extra == {}


def test_an_outlet_that_cannot_be_told_does_not_keep_the_others_from_it(run_task: Run, group: str) -> None:
    asset = Asset(uri=f"afilnet://group/{group}")
    result = run_task(upsert(group, outlets=["no asset", asset]))
    assert [event["extra"]["added"] for event in sent_events(result)] == [1]
