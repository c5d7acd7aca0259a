"""A load starts the refresh, the refresh starts the campaign: by Assets, under a real scheduler."""

from __future__ import annotations

import json

from chain import LOAD, wait_for_chain


def assert_equal(world, group_id: str) -> None:
    held = [(c["mobile"], (c["name"], c["city"])) for c in world.sandbox.contacts(group_id)]
    assert dict(held) == world.warehouse.wanted()
    assert len(dict(held)) == len(held)


def test_the_chain_runs_by_itself_and_leaves_the_group_equal(world, chain_ran) -> None:
    assert (chain_ran["added"], chain_ran["rejected"]) == (497, 3)
    assert_equal(world, chain_ran["group_id"])


def test_the_next_load_started_over_the_rest_api_brings_the_changes(world, chain_ran) -> None:
    world.warehouse.change(new=12, changed=9, gone=6)
    world.stage()
    world.airflow.trigger(LOAD)
    result = wait_for_chain(world, 2)
    assert (result["added"], result["updated"], result["deleted"]) == (12, 9, 6)
    assert_equal(world, result["group_id"])


def test_the_events_carry_counts_and_nobody(world, chain_ran) -> None:
    events = world.airflow.call("GET", "/assets/events", limit=100)["asset_events"]
    of_group = [event for event in events if event["uri"] == f"afilnet://group/{chain_ran['group_id']}"]
    assert of_group[0]["extra"]["plan_digest"]
    assert of_group[0]["extra"]["report_path"].startswith(str(world.reports))
    said = json.dumps(events, ensure_ascii=False)
    for phone, (name, _) in world.warehouse.wanted().items():
        assert phone not in said
        assert name not in said
