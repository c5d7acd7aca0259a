"""What a process took is its own: not the memory of whoever started it, not the processor of others."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from benchmarks.measured import measure


def test_memory_is_that_of_the_program_alone(tmp_path: Path) -> None:
    here = b"x" * (300 << 20)
    small = measure([sys.executable, "-c", "pass"], os.environ, tmp_path)
    large = measure([sys.executable, "-c", "x = b'x' * (200 << 20)"], os.environ, tmp_path)
    assert len(here) == 300 << 20
    assert small.peak_mib < 150
    assert 200 <= large.peak_mib < 350


def test_the_processor_and_the_status_are_told(tmp_path: Path) -> None:
    asleep = measure([sys.executable, "-c", "import time; time.sleep(1)"], os.environ, tmp_path)
    assert asleep.seconds >= 1
    assert asleep.cpu_seconds < asleep.seconds
    failed = measure([sys.executable, "-c", "import sys; print('why'); sys.exit(3)"], os.environ, tmp_path)
    assert failed.status == 3
    assert (tmp_path / "output.log").read_text() == "why\n"
