"""What starting the command costs, what its help says, and the sandbox's own command behind it."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
from importlib.metadata import entry_points, requires

import pytest
from afilnet_process import afilnet, start

COMMANDS = [[], ["doctor"], ["contacts"], ["contacts", "export"], ["contacts", "import"], ["sandbox"]]
ENV = {**os.environ, "COLUMNS": "100"}


def test_the_console_script_is_this_command() -> None:
    (script,) = entry_points(group="console_scripts", name="afilnet")
    assert script.value == "airflow_provider_afilnet.cli.main:main"
    done = subprocess.run(
        [os.path.join(os.path.dirname(sys.executable), "afilnet"), "--version"],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert re.fullmatch(r"afilnet, version \d+\.\d+\.\d+\n", done.stdout)


def test_click_comes_with_what_is_needed_anyway() -> None:
    assert any(requirement.startswith("click") for requirement in requires("uvicorn") or ())


def test_help_loads_neither_airflow_nor_an_http_library() -> None:
    code = (
        "import sys\nfrom airflow_provider_afilnet.cli.main import main\n"
        "try: main(['doctor', '--help'])\nexcept SystemExit: pass\n"
        "print(*[m for m in ('airflow', 'requests', 'aiohttp', 'uvicorn', 'phonenumbers', 'ijson', 'sqlite3', 'rich')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.splitlines()[-1] == ""


def test_help_is_quick() -> None:
    """By the processor's time, which does not depend on what else this machine does."""

    def best(*command: str) -> float:
        times = []
        for _ in range(5):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(command, env=ENV, stdout=subprocess.DEVNULL, check=True, timeout=60)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        return min(times)

    bare = best(sys.executable, "-c", "import click")
    whole = best(sys.executable, "-m", "airflow_provider_afilnet.cli", "--help")
    assert whole - bare < 0.1, f"{whole * 1000:.0f} ms, of which click {bare * 1000:.0f} ms"


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command) or "afilnet")
def test_every_command_has_help(command: list[str]) -> None:
    out = afilnet(*command, "--help", env=ENV)
    assert out.code == 0
    assert out.out.lower().startswith("usage: ")
    assert max(map(len, out.out.splitlines())) <= 120
    if command and command != ["sandbox"]:
        assert f"Usage: afilnet {' '.join(command)}" in out.out


def test_no_airflow_while_it_works() -> None:
    """Airflow made impossible to import: everything but the sandbox's own process runs."""
    code = (
        "import sys\nsys.modules['airflow'] = None\nsys.modules['airflow.sdk'] = None\n"
        "from airflow_provider_afilnet.cli.main import main\nfrom airflow_provider_afilnet.sandbox import Sandbox\n"
        "import os\n"
        "box = Sandbox().start()\n"
        "group = box.create_group('g', 'mobile', ['mobile'], [{'mobile': '34600000001'}])\n"
        "os.environ.update(AFILNET_USER='demo', AFILNET_PASSWORD='demo', AFILNET_HOST=box.url)\n"
        "main(['contacts', 'export', group], standalone_mode=False)\n"
    )
    env = {name: value for name, value in ENV.items() if not name.startswith("AIRFLOW")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=60, check=False
    )
    assert "34600000001" in done.stdout, done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_sandbox(number: int) -> None:
    process = start("sandbox", "--port", "0", "--dialect", "contacts=keyed", env=dict(os.environ))
    assert process.stdout is not None
    assert re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "", "")


def test_the_sandbox_s_own_errors_and_help() -> None:
    out = afilnet("sandbox", "--dialect", "contacts=round", env=ENV)
    assert out.code == 2
    assert "contacts cannot be 'round'" in out.err
    assert "rate_limited" in afilnet("sandbox", "--help", env=ENV).out


NO_GROUP = (["doctor", "--group", "None"], ["contacts", "export", " "])


@pytest.mark.parametrize(
    "arguments",
    [["nothing"], ["doctor", "--password", "x"], ["doctor", "--longest-list", "0"], NO_GROUP[0], NO_GROUP[1]],
)
def test_wrong_usage(arguments: list[str]) -> None:
    out = afilnet(*arguments, env=ENV)
    assert out.code == 2
    assert out.out == ""
    assert "Error: " in out.err
