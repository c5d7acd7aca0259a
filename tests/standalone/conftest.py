"""One real Airflow for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow_pages import Pages
from browser import open_browser
from chain import BY_URI, CAMPAIGN, LOAD, REFRESH, wait_for_chain
from shop import BUILD, World, open_world


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.standalone)
            item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    with open_world() as opened:
        yield opened


@pytest.fixture(scope="session")
def chain_ran(world: World) -> dict[str, Any]:
    """The chain's first run, which the schedule of the loading DAG starts; answers the refresh's result."""
    world.stage()
    world.airflow.unpause(BY_URI, CAMPAIGN, REFRESH, LOAD)
    return wait_for_chain(world, 1)


@pytest.fixture(scope="session")
def pages(world: World) -> Iterator[Pages]:
    with open_browser() as browser:
        yield Pages(browser, world.airflow.url, BUILD / "pictures")
