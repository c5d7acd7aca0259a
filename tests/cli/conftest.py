"""A sandbox whose password is searched for in everything that the command line writes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from afilnet_process import PASSWORD

from airflow_provider_afilnet.sandbox import Sandbox


@pytest.fixture
def box() -> Iterator[Sandbox]:
    """A fresh local Afilnet."""
    with Sandbox(user="me@example.org", password=PASSWORD) as sandbox:
        yield sandbox
