"""The measurements of :mod:`benchmarks.engine`, each in a fresh process against a sandbox that is slow or limited."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.engine import LIMITED_CALLS, SINGLE_CALLS, texts
from benchmarks.job import Job
from benchmarks.measured import measure
from benchmarks.rows import FIELDS
from benchmarks.sandbox import PASSWORD, USER, SandboxProcess
from benchmarks.tools import environment

LIMIT: Final = 50
LATENCY: Final = 0.02


@dataclass(frozen=True)
class _Run:
    """One measurement. ``name``: of its result; ``what``: as the module takes it; ``contacts``: that the group has;
    ``fault``: how the sandbox behaves meanwhile."""

    name: str
    what: str
    contacts: int
    fault: dict[str, Any] | None


_RUNS: Final = (
    _Run("normalise", "normalise", 0, None),
    _Run("single calls", "single calls", SINGLE_CALLS, {"kind": "latency", "seconds": LATENCY}),
    _Run("limited, burst 50", "limited", LIMITED_CALLS, {"kind": "rate_limited", "per_second": LIMIT, "burst": LIMIT}),
    _Run("limited, burst 10", "limited", LIMITED_CALLS, {"kind": "rate_limited", "per_second": LIMIT, "burst": 10}),
)


def measure_engine(folder: Path, say: Callable[[str], None]) -> dict[str, dict[str, float]]:
    """Carry out every measurement; answers name to what was found, ``refused`` calls of all ``requests`` included."""
    found: dict[str, dict[str, float]] = {}
    with SandboxProcess(folder / "sandbox.sqlite") as sandbox:
        for run in _RUNS:
            contacts = [dict(zip(FIELDS, row, strict=True)) for row in texts(run.contacts)]
            group, first_id = sandbox.create_group(contacts)
            if run.fault:
                sandbox.fail(**run.fault)
            job = Job("", sandbox.url, group, str(folder), USER, PASSWORD)
            command = [sys.executable, "-m", "benchmarks.engine", job.as_argument(), run.what, str(first_id)]
            if status := measure(command, environment(job, folder), folder).status:
                log = (folder / "output.log").read_text(errors="replace")
                raise RuntimeError(f"{run.name} ended with status {status}: {log[-2000:]}")
            sandbox.heal()
            traffic = sandbox.traffic()
            found[run.name] = {
                **json.loads(job.answer_file.read_text()),
                "requests": traffic.calls,
                "refused": traffic.refused,
            }
            say(f"  engine, {run.name}: {found[run.name]}")
    return found
