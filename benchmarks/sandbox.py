"""The one sandbox process that all tools write to, and what its control endpoints tell of them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import requests

from benchmarks.rows import FIELDS

USER: Final = "demo"
PASSWORD: Final = "demo"


@dataclass(frozen=True)
class Traffic:
    """Calls that reached the sandbox. ``refused``: those answered with an error, of HTTP or of the API."""

    calls: int
    refused: int


class SandboxProcess:
    """A sandbox in a process of its own, its state in a file. Use it as a context manager."""

    def __init__(self, database: Path) -> None:
        """``database``: the SQLite file to make."""
        self._database = database
        self.url = ""

    def __enter__(self) -> SandboxProcess:
        command = [sys.executable, "-m", "airflow_provider_afilnet.sandbox", "--port", "0"]
        self._process = subprocess.Popen(
            [*command, "--user", USER, "--password", PASSWORD, "--database", str(self._database)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().split()[3]
        self._session = requests.Session()
        self._session.trust_env = False
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()
        self._process.terminate()
        self._process.communicate(timeout=30)

    def _ask(self, verb: str, path: str, body: Mapping[str, Any] | None = None, **more: Any) -> requests.Response:
        response = self._session.request(verb, f"{self.url}/_sandbox{path}", json=body, timeout=600, **more)
        response.raise_for_status()
        return response

    def create_group(self, contacts: list[dict[str, str]] | None = None) -> tuple[str, int]:
        """Make a group with the source's columns; answers its id, and the id of the first contact, or 0."""
        body = {"name": "benchmark", "type": "mobile", "fields": [*FIELDS], "contacts": contacts or []}
        made = self._ask("POST", "/groups", body).json()
        return str(made["id"]), int(made["contacts"]["first"] or 0)

    def contacts(self, group_id: str) -> Iterator[dict[str, str]]:
        """Every contact as it is stored."""
        with self._ask("GET", f"/groups/{group_id}/contacts", stream=True) as response:
            yield from map(json.loads, response.iter_lines(1 << 16))

    def traffic(self) -> Traffic:
        """The calls since the last question."""
        calls = self._ask("GET", "/calls").json()["calls"]
        self._ask("DELETE", "/calls")
        return Traffic(len(calls), sum(call["status"] != 200 or bool(call["error"]) for call in calls))

    def fail(self, kind: str, **detail: Any) -> None:
        """Set a fault, see the sandbox's ``--help``."""
        self._ask("POST", "/faults", {"kind": kind, **detail})

    def heal(self) -> None:
        """Take every fault away."""
        self._ask("DELETE", "/faults")
