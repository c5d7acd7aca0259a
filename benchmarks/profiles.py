"""Where the time of a refresh goes: py-spy looks at it many times a second, in each of the three phases.

``python -m benchmarks.profiles --rows 1000000`` prints a table for each phase. ``--engine FOLDER`` profiles the package
of another checkout, such as an earlier version. The sandbox is a process of its own and not looked into.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Final

from benchmarks.job import Job
from benchmarks.rows import SqliteSource
from benchmarks.sandbox import PASSWORD, USER, SandboxProcess
from benchmarks.session import PHASES
from benchmarks.tools import ROOT, environment

_PER_SECOND: Final = 50
_FRAME: Final = re.compile(r"^(?P<function>.+) \((?P<file>.+?)(?::\d+)?\)$")
_SHOWN: Final = 14


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profiles", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000, help="contacts in the source")
    parser.add_argument("--engine", type=Path, default=ROOT, help="the checkout whose package is profiled")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="afilnet-profile-") as made:
        folder = Path(made)
        source = SqliteSource(folder / "source.sqlite", given.rows)
        with SandboxProcess(folder / "sandbox.sqlite") as sandbox:
            group, _ = sandbox.create_group()
            job = Job(str(source.path), sandbox.url, group, str(folder), USER, PASSWORD)
            for phase in PHASES:
                if phase == PHASES[1]:
                    source.change()
                show(phase, profiled(job, folder, given.engine.resolve()))
    return 0


def profiled(job: Job, folder: Path, engine: Path) -> list[str]:
    """Run the refresh under py-spy; answers the stacks, each with how often it was seen."""
    stacks = folder / "stacks.txt"
    variables = environment(job, folder)
    variables["PYTHONPATH"] = os.pathsep.join([str(engine), variables["PYTHONPATH"]])
    looking = [str(Path(sys.executable).with_name("py-spy")), "record", "--rate", str(_PER_SECOND), "--function"]
    command = [sys.executable, "-m", "benchmarks.ours", job.as_argument()]
    done = subprocess.run(
        [*looking, "--format", "raw", "--output", str(stacks), "--", *command],
        env=variables,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode or not stacks.exists():
        raise RuntimeError(f"py-spy ended with status {done.returncode}: {done.stderr[-2000:]}")
    return stacks.read_text().splitlines()


def show(phase: str, stacks: list[str]) -> None:
    """Print what was seen at the top of a stack most often, with its share and the seconds: files, then functions."""
    files: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    for line in stacks:
        stack, _, times = line.rpartition(" ")
        file, function = _place(stack.split(";")[-1])
        files[file] += int(times)
        functions[f"{file}: {function}"] += int(times)
    whole = files.total()
    print(f"\n### {phase}: {whole / _PER_SECOND:.1f} s at work")
    for title, seen in (("file or library", files), ("function", functions)):
        print(f"\n| share | seconds | {title} |\n|---|---|---|")
        for name, number in seen.most_common(_SHOWN):
            print(f"| {number / whole:.0%} | {number / _PER_SECOND:.1f} | `{name}` |")


def _place(frame: str) -> tuple[str, str]:
    """File and function of a frame; a file of ours by its place in the package, a library by its name."""
    found = _FRAME.match(frame)
    if found is None:
        return "interpreter", frame or "?"
    path = found["file"]
    ours, library = "airflow_provider_afilnet/", "site-packages/"
    if ours in path:
        path = path.rpartition(ours)[2]
    elif library in path:
        path = path.rpartition(library)[2].partition("/")[0]
    elif "lib/python3." in path:
        path = path.rpartition("/")[2]
    return path, found["function"]


if __name__ == "__main__":
    sys.exit(main())
