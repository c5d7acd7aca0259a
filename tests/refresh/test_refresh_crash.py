"""SIGKILL at a random moment: the next run makes the group exact, and nobody is there twice."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time

import pytest
from refresh_world import World, bag, people, person

MOMENTS = 40 if os.environ.get("AFILNET_LONG") else 4

_CHILD = """
import sys
from airflow_provider_afilnet.api.settings import ClientSettings
from airflow_provider_afilnet.refresh.engine import Refresh
from airflow_provider_afilnet.refresh.options import RefreshOptions
from airflow_provider_afilnet.refresh.rows import DictRows

sys.path.insert(0, sys.argv[5])
from test_refresh_crash import wanted

settings = ClientSettings(sys.argv[1], sys.argv[2], sys.argv[3], max_requests_per_second=0)
options = RefreshOptions.read(mode="mirror", settle=0.3, max_deletes=600, unsafe_values="replace", batch_size=100)
print("go", flush=True)
Refresh(settings, sys.argv[4], options).run(DictRows(wanted()))
print("done", flush=True)
"""

_UNSAFE = {"name": "one, two"}


def _before() -> list[dict[str, str]]:
    return people(*range(1500))


def wanted() -> list[dict[str, str]]:
    """4,000 new ones, 400 changed, 100 of them to be replaced; 500 go."""
    changed = [person(n, name=f"New {n}") for n in range(500, 800)]
    replaced = [person(n, **_UNSAFE) for n in range(800, 900)]
    return [*changed, *replaced, *people(*range(900, 1500)), *people(*range(2000, 6000))]


def _start(world: World) -> subprocess.Popen[str]:
    box = world.sandbox
    here = os.path.dirname(__file__)
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, box.user, box.password, box.url, world.group, here],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "go\n"
    return child


# A share of the writes of a whole run, at which it is killed.
@pytest.mark.parametrize("share", [round(random.Random(n).uniform(0.01, 0.99), 2) for n in range(MOMENTS)])
def test_killed(world: World, share: float) -> None:
    world.make(_before())
    writes = 3 + 40 + 300 + 2 * 100 + 500
    child = _start(world)
    end = time.monotonic() + 60
    while world.sandbox.writes < share * writes and child.poll() is None and time.monotonic() < end:
        time.sleep(0.001)
    child.kill()
    output, _ = child.communicate()
    assert "done" not in output, "it was killed in the middle"
    time.sleep(0.2)
    state = world.now()
    assert state != bag(wanted())
    result = world.run(wanted(), mode="mirror", max_deletes=600, unsafe_values="replace")
    assert world.now() == bag(wanted())
    assert result.failed == 0
    assert len({contact["mobile"] for contact in world.stored()}) == len(world.stored()) == 5000
    world.quiet(wanted(), mode="mirror", max_deletes=600, unsafe_values="replace")
