"""What py-spy saw becomes tables: by file, with libraries under their names, and by function."""

from __future__ import annotations

import pytest

from benchmarks.profiles import show

PACKAGE = "/home/ana/airflow_provider_afilnet"
STACKS = [
    f"work ({PACKAGE}/refresh/engine.py);extend ({PACKAGE}/refresh/spool.py) 60",
    f"work ({PACKAGE}/refresh/engine.py);parse (/opt/lib/python3.11/site-packages/phonenumbers/phonenumberutil.py) 25",
    "run (/opt/lib/python3.11/asyncio/base_events.py);select (/opt/lib/python3.11/selectors.py) 10",
    "process 7 5",
]


def test_shares_and_seconds_are_those_of_the_tops_of_the_stacks(capsys: pytest.CaptureFixture[str]) -> None:
    show("no change", STACKS)
    lines = capsys.readouterr().out.splitlines()
    assert "### no change: 2.0 s at work" in lines
    assert "| 60% | 1.2 | `refresh/spool.py` |" in lines
    assert "| 25% | 0.5 | `phonenumbers` |" in lines
    assert "| 10% | 0.2 | `selectors.py: select` |" in lines
    assert "| 60% | 1.2 | `refresh/spool.py: extend` |" in lines
    assert not any("engine.py" in line for line in lines)
