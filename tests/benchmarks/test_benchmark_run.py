"""The command runs end to end, and what it says of the refresh is what the sandbox holds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

from benchmarks.results import Results
from benchmarks.session import PHASES

ROOT = Path(__file__).resolve().parent.parent.parent
ROWS = 400


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.run", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_refresh_beside_its_floors(tmp_path: Path) -> None:
    done = run("--rows", str(ROWS), "--only", "ours,floors", "--out", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    sized = Results.read(tmp_path / "results.json").sizes[ROWS]
    assert [(one.tool, one.phase, one.exact, one.status) for one in sized.measurements] == [
        ("ours", phase, True, 0) for phase in PHASES
    ]
    first, churn, same = sized.measurements
    # Both reads of a run that finds nothing to do; 2 rows changed, 1 came, 1 went; the new one goes before the others.
    assert same.requests == 2
    assert churn.requests >= 2 + 2 + 1 + 1
    assert (first.refused, churn.refused, same.refused) == (0, 0, 0)
    assert {floor.floor for floor in sized.floors} == {"import", "send", "read group", "read query"}
    # The operator was imported and worked in the process that was measured.
    assert all(one.peak_mib >= (sized.floor_mib("import") or 0) for one in sized.measurements)
    assert "this refresh" in (tmp_path / "RESULTS.md").read_text()
    ElementTree.parse(tmp_path / "results.svg")


def test_an_unknown_part_is_refused() -> None:
    done = run("--only", "ours,nobody")
    assert done.returncode == 2
    assert "there is no 'nobody'" in done.stderr
