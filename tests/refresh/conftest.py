"""A sandbox and a group in it for every refresh test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from refresh_world import World

from airflow_provider_afilnet.sandbox import Sandbox


@pytest.fixture
def world() -> Iterator[World]:
    """A fresh sandbox with a group of columns mobile, name, city; ``world.make(…)`` makes another."""
    with Sandbox(user="refresher", password="Contrasena-Rara-4711") as sandbox:
        made = World(sandbox)
        made.make()
        yield made
