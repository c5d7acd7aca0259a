"""Run a program in a fresh process and say what it took.

Linux counts the memory of whoever starts a process into its peak until the program is loaded. So this file starts it
when it is run as a program: a small process without anything imported. It uses the standard library only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cost:
    """What a process took. ``seconds``: from start to end; ``cpu_seconds``: user and system; ``peak_mib``: the most
    resident memory; ``status``: its exit code."""

    seconds: float
    cpu_seconds: float
    peak_mib: float
    status: int


def measure(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> Cost:
    """Run ``command`` in ``folder``; what it prints goes to ``output.log`` there."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", __file__, str(folder / "output.log"), *command],
        env=dict(environment),
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Cost(**json.loads(done.stdout))


def _run(log: str, command: Sequence[str]) -> dict[str, float]:
    with open(log, "wb") as output:
        began = time.monotonic()
        # Nobody waits for it but wait4, which alone tells what this one process took.
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return {
        "seconds": time.monotonic() - began,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_mib": usage.ru_maxrss / 1024,
        "status": process.returncode,
    }


if __name__ == "__main__":
    print(json.dumps(_run(sys.argv[1], sys.argv[2:])))
