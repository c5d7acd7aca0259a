"""``docs/airflow.md`` says what is true: its code is that of the tested examples, its settings lead where it says."""

from __future__ import annotations

import configparser
import json
import re
import textwrap
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow_of import RETRY_POLICIES

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "airflow.md"
TEXT = PAGE.read_text()
EXAMPLES = "\n".join(path.read_text() for path in sorted((ROOT / "example_dags").glob("*.py")))


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def lines(code: str) -> str:
    """The code without indentation of the whole and without blank lines, which a formatter sets as it likes."""
    return "\n".join(line for line in textwrap.dedent(code).splitlines() if line.strip())


OWN = [block for block in blocks("python") if "retry_policy=" in block]
COPIED = [block for block in blocks("python") if block not in OWN]


@pytest.mark.parametrize("block", COPIED, ids=range(len(COPIED)))
def test_code_is_that_of_an_example(block: str) -> None:
    assert len(COPIED) == 4
    for step in (0, 4, 8):
        if textwrap.indent(lines(block), " " * step) in "\n".join(x for x in EXAMPLES.splitlines() if x.strip()):
            return
    pytest.fail(f"in no example:\n{block}")


@pytest.mark.skipif(not RETRY_POLICIES, reason="Airflow asks retry policies since 3.3")
def test_the_hooks_task_can_be_built_where_airflow_has_policies() -> None:
    (block,) = OWN
    names: dict[str, Any] = {}
    exec(compile(block, str(PAGE), "exec"), names)
    assert type(names["balance"]().operator.retry_policy).__name__ == "AfilnetRetryPolicy"


def test_the_events_extra_is_complete_and_adds_up() -> None:
    from airflow_provider_afilnet.refresh.report import RefreshResult

    (block,) = blocks("json")
    shown = json.loads(block)
    assert list(shown) == [field.name for field in fields(RefreshResult)]
    assert RefreshResult(**shown).adds_up


def test_the_settings_are_those_of_the_metadata_and_lead_there(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow_provider_afilnet.get_provider_info import get_provider_info
    from airflow_provider_afilnet.links.afilnet import AfilnetGroupLink, AfilnetReportLink

    (block,) = blocks("ini")
    read = configparser.ConfigParser()
    read.read_string(block)
    ((section, options),) = get_provider_info()["config"].items()
    assert set(read[section]) == set(options["options"])
    for name, value in read[section].items():
        variable = f"AIRFLOW__{section.upper()}__{name.upper()}"
        assert f"`{variable}`" in TEXT
        monkeypatch.setenv(variable, value)
    ran: Any = SimpleNamespace(group_id="7", report_folder="s3://conn@reports/a/b")
    key: Any = None
    assert AfilnetGroupLink().get_link(ran, ti_key=key) == "https://panel.example.com/groups/7"
    assert AfilnetReportLink().get_link(ran, ti_key=key) == "https://s3.example.com/buckets/reports?prefix=a/b/"
    ran.report_folder = "/srv/reports/a"
    assert AfilnetReportLink().get_link(ran, ti_key=key) == "https://files.example.com/a/"


def test_links_exist() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)(?:#[^)]*)?\)", TEXT):
        assert (PAGE.parent / target).exists(), target
