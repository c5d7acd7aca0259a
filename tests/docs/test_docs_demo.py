"""``make demo`` does what it says, and what the README says that it prints."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from docs.pages import ROOT, claim

PRINTED = claim("README.md", "text", "first run: airflow dags test")


def alike(line: str) -> str:
    """A line without what differs from run to run: times, ports, paths, and how many requests it took."""
    line = re.sub(r"^\[ *[\d.]+ s\]", "", line)
    line = re.sub(r"(report: |customers in ).*?(?=, |$)", r"\1PATH", line)
    return re.sub(r":\d{4,5}$|\d+ requests in [\d.]+ s", "N", line)


def test_the_demo_ends_with_group_and_query_equal(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AIRFLOW")}
    run = subprocess.run(
        [sys.executable, str(ROOT / "demo" / "run.py"), "--build", str(tmp_path / "demo")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    printed = [alike(line) for line in run.stdout.splitlines()]
    assert [line for line in printed if "… working" not in line] == [alike(line) for line in PRINTED.splitlines()]
    assert "added 4988, updated 0, deleted 0, unchanged 0, rejected 12 of 5000 rows" in run.stdout
    assert "added 120, updated 90, deleted 60, unchanged 4838, rejected 12 of 5060 rows" in run.stdout
    assert len(re.findall("0 missing, 0 surplus, 0 different, 0 doubled", run.stdout)) == 2
    for folder in re.findall(r"report: (\S+)", run.stdout):
        assert (Path(folder) / "report.json").exists()
