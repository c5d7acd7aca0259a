"""The README, SECURITY and CONTRIBUTING say what is true: their code runs, their commands exist."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from airflow_of import VERSION
from docs.pages import ROOT, claim, prose_of, section, table

from airflow_provider_afilnet.hooks.afilnet import AfilnetHook
from airflow_provider_afilnet.sandbox import Sandbox
from airflow_provider_afilnet.transfers.sql_to_afilnet_group import SqlToAfilnetGroupOperator

README, CONTRIBUTING = "README.md", "CONTRIBUTING.md"
TEASER = claim(README, "python", "who left")
MAKE = claim(README, "bash", "make demo")
INSTALL = claim(README, "bash", "pip install .")
ENVIRONMENT = claim(README, "bash", "me@example.com")
SANDBOX = claim(README, "bash", "airflow_provider_afilnet.sandbox")
ON_ITS_PAGE = claim("docs/sandbox.md", "bash", "-m airflow_provider_afilnet.sandbox")
SANDBOX_ENVIRONMENT = claim(README, "bash", '"host": "http://127.0.0.1:8765"')
FIRST_DAG = claim(README, "python", "customers_to_afilnet")
BY_HAND = claim(README, "bash", "airflow dags test customers_to_afilnet")
CHECKS = claim(CONTRIBUTING, "bash", "make lint")
PYTEST = claim(CONTRIBUTING, "bash", "-m pytest")
REFERENCE = claim(CONTRIBUTING, "bash", "operator_reference.py")
(_MATRIX,) = re.findall(r"^MATRIX := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
MATRIX = _MATRIX.split()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def outside(script: str, folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """A script as a reader's shell runs it, with this interpreter first and nothing of our own settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "AFILNET"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(ROOT), **more, "PATH": path},
        capture_output=True,
        text=True,
        timeout=240,
    )


def test_the_first_block_is_a_task() -> None:
    names: dict[str, Any] = {"SqlToAfilnetGroupOperator": SqlToAfilnetGroupOperator}
    made = eval(compile(TEASER, README, "eval"), names)
    assert (made.mode, made.default_region) == ("mirror", "ES")


def test_the_promise_is_that_of_the_refresh_page() -> None:
    (short,) = re.findall(r"^> After a green task the group equals the query, (.*)$", prose_of(README), re.MULTILINE)
    assert short.startswith("contact by contact")
    assert "> After a green task the group equals the query, contact by contact" in prose_of("docs/refresh.md")


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    text = MAKE + CHECKS + prose_of(README) + prose_of(CONTRIBUTING)
    targets = set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE))
    assert {"demo", "test", "lint", "types", "test-long"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_install_block_names_what_can_be_installed() -> None:
    extras = PROJECT["optional-dependencies"]
    named = re.findall(r"pip install '\.\[(\w+)\]'", INSTALL)
    # The others are for the demo and for those who develop.
    assert set(named) == set(extras) - {"dev", "demo"}
    text = section(README, "Install")
    assert f"Python {PROJECT['requires-python'].removeprefix('>=')} or later" in text
    (airflow,) = [need for need in PROJECT["dependencies"] if need.startswith("apache-airflow>=")]
    assert f"Airflow {airflow.removeprefix('apache-airflow>=').removesuffix('.0')} or later" in text
    tested = re.findall(r"\[([\w.-]+)\]\(\1\)\s+\(Airflow ([\d.]+)\)", text)
    assert len(tested) == len(MATRIX) == 2
    for file, version in tested:
        assert f"apache-airflow=={version}\n" in (ROOT / file).read_text()
    assert {version for _, version in tested} == set(MATRIX)


@pytest.mark.parametrize("block", [ENVIRONMENT, SANDBOX_ENVIRONMENT], ids=["account", "sandbox"])
def test_the_environment_blocks_are_working_connections(block: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (value,) = re.findall(r"export AIRFLOW_CONN_AFILNET_DEFAULT='(.*)'", block)
    monkeypatch.setenv("AIRFLOW_CONN_AFILNET_DEFAULT", value)
    host = json.loads(value).get("host", "https://www.afilnet.com")
    assert AfilnetHook().settings.base_url == host


def test_the_first_dag_runs_by_hand(tmp_path: Path) -> None:
    """The README's steps from the sandbox to the group, in a home of their own; only ports and the database's place."""
    (told,) = re.findall(r"prints what the group holds now: `(.*?)`", prose_of(README))
    (tmp_path / "home" / "dags").mkdir(parents=True)
    (tmp_path / "home" / "dags" / "customers_to_afilnet.py").write_text(FIRST_DAG)
    install, _, steps = BY_HAND.partition("\n")
    assert install.split()[:2] == ["pip", "install"]
    assert any(install.split()[2] in need for need in PROJECT["optional-dependencies"]["demo"])
    with Sandbox(user="demo", password="demo") as sandbox:
        if VERSION < (3, 1):
            (first,) = re.findall(r"On Airflow 3\.0 `(airflow .*?)` comes before the test", prose_of(README))
            steps = steps.replace("airflow dags test", f"{first}\nairflow dags test")
        script = (SANDBOX_ENVIRONMENT + steps).replace("http://127.0.0.1:8765", sandbox.url)
        done = outside(script.replace("/tmp/", f"{tmp_path}/"), tmp_path, AIRFLOW_HOME=str(tmp_path / "home"))
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        assert done.stdout.rstrip().endswith(told)
        assert sandbox.contacts("1000") == [json.loads(told)]


def test_the_sandbox_command_is_that_of_its_page() -> None:
    assert ON_ITS_PAGE == SANDBOX


def test_the_commands_of_contributing(tmp_path: Path) -> None:
    """pytest collects those folders; the reference is written anew, which changes nothing."""
    commands = re.findall(r"^make \w+", CHECKS, re.MULTILINE)
    assert re.findall(r"^make \w+", (ROOT / ".ci" / "run").read_text(), re.MULTILINE) == commands
    before = (ROOT / "docs" / "operators.md").read_text()
    for command in (PYTEST.rstrip() + " --collect-only -q", REFERENCE.rstrip()):
        done = outside(command.replace(".venv/bin/python", sys.executable), ROOT)
        assert done.returncode == 0, done.stdout + done.stderr
    assert (ROOT / "docs" / "operators.md").read_text() == before


def test_the_layout_has_every_folder() -> None:
    named = {name for row in table(section(CONTRIBUTING, "Layout")) for name in re.findall(r"`([\w/]+)`", row[0])}
    package = {path.name for path in (ROOT / "airflow_provider_afilnet").iterdir() if (path / "__init__.py").exists()}
    assert {name.rpartition("/")[2] for name in named} >= package
    for name in named:
        assert (ROOT / name).is_dir() or (ROOT / "airflow_provider_afilnet" / name).is_dir(), name


def test_the_masks_of_security_are_those_of_the_code() -> None:
    from airflow_provider_afilnet.api.masking import mask_key

    (row,) = [line for line in prose_of("SECURITY.md").split("\n- ") if line.startswith("**Phones and e-mails**")]
    masked = re.findall(r"`([^`]+\*[^`]+)`", row)
    assert masked == [mask_key("34600000001"), mask_key("ana@example.com")]


def test_nothing_names_this_machine() -> None:
    """A stranger's clone must need nothing but itself."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    here = [str(Path.home()) + "/", str(ROOT)]
    for name in tracked:
        path = ROOT / name
        if path.suffix in (".py", ".md", ".toml", ".txt", ".yaml", "") and path.is_file():
            text = path.read_text()
            assert not any(place in text for place in here), name
    constraints = (ROOT / "constraints.txt").read_text()
    assert "://" not in constraints
    assert re.search(r"^apache-airflow==3\.", constraints, re.MULTILINE)


def test_a_source_distribution_has_the_pages() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    included = config["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    for name in ("docs", "SECURITY.md", "CONTRIBUTING.md", ".airflow-registry.yaml"):
        assert name in included
