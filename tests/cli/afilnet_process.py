"""The command ``afilnet`` as a real process with an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_provider_afilnet.sandbox import Sandbox

COMMAND = (sys.executable, "-m", "airflow_provider_afilnet.cli")
PASSWORD = "pw-s3cret-not-to-be-seen"


def clean_environment(**more: str) -> dict[str, str]:
    """This process's environment without anything that afilnet reads, and with ``more``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AFILNET_", "AIRFLOW", "PYTEST"))}
    return {**kept, "NO_PROXY": "*", "COLUMNS": "100", **more}


def environment_for(sandbox: Sandbox, **extra: Any) -> dict[str, str]:
    """The environment with the sandbox's account."""
    return account(sandbox.url, sandbox.user, sandbox.password, **extra)


def account(host: str, user: str = "me@example.org", password: str = PASSWORD, **extra: Any) -> dict[str, str]:
    """The environment with an account at this address."""
    extras = {"max_requests_per_second": 0, "timeout": 5, **extra}
    return clean_environment(
        AFILNET_USER=user, AFILNET_PASSWORD=password, AFILNET_HOST=host, AFILNET_EXTRA=json.dumps(extras)
    )


@dataclass
class Ended:
    """What came of a process."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """Everything it wrote."""
        return self.out + self.err


def afilnet(*arguments: str | Path, env: dict[str, str], timeout: float = 120) -> Ended:
    """Run the command to its end; whatever happens, it shows no secret and no traceback."""
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    ended = Ended(done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in ended.said, ended.said
    secret = env.get("AFILNET_PASSWORD")
    assert not secret or secret not in ended.said
    return ended


def start(*arguments: str | Path, env: dict[str, str]) -> subprocess.Popen[str]:
    """Start the command."""
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
