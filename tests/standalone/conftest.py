"""One real Airflow for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from shop import World, open_world


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.standalone)
            item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    with open_world() as opened:
        yield opened
