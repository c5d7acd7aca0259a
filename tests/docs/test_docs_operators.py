"""``docs/operators.md``: its reference is the code's own, its examples are the tested ones, its tables are complete."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from importlib import import_module
from textwrap import dedent
from typing import Any

import pytest
import yaml
from docs.operator_reference import MODULES, PAGE, arguments, described, operators, page_anew
from docs.pages import ROOT, claim, names_of, prose_of

from airflow_provider_afilnet.get_provider_info import get_provider_info
from airflow_provider_afilnet.operators.refresh import AfilnetRefreshOperator
from airflow_provider_afilnet.sandbox import Sandbox

NAME = "docs/operators.md"
PUBLIC = [operator for module in MODULES for operator in operators(module)]
HOOK = claim(NAME, "python", "def credits_for_a_campaign")
EXAMPLES = [
    ("howto_groups", "example_afilnet_all_operators", claim(NAME, "python", 'task_id="add_column"')),
    ("howto_contacts", "example_afilnet_all_operators", claim(NAME, "python", 'task_id="add_contact_list"')),
    ("howto_sensors", "example_afilnet_sensors", claim(NAME, "python", "AfilnetGroupSizeSensor(")),
    ("howto_many_groups", "example_afilnet_many_groups", claim("docs/refresh.md", "python", "SEGMENTS")),
]


def test_the_reference_is_that_of_the_code() -> None:
    assert PAGE.read_text() == page_anew(PAGE.read_text()), "run: python tests/docs/operator_reference.py"


@pytest.mark.parametrize("operator", PUBLIC, ids=lambda operator: operator.__name__)
def test_every_argument_is_explained(operator: type) -> None:
    assert set(described(operator)[1]) == set(arguments(operator))


def test_the_tables_have_every_public_class() -> None:
    """The page's table; and the modules are those that Airflow is told of."""
    named = [name for name in names_of(prose_of(NAME).split("## What they have in common")[0]) if name[0].isupper()]
    assert sorted(named) == sorted(operator.__name__ for operator in PUBLIC)
    info = get_provider_info()
    told = [name for kind in ("operators", "sensors") for name in info[kind][0]["python-modules"]]
    told += [transfer["python-module"] for transfer in info["transfers"]]
    assert sorted(told) == sorted(MODULES)


def test_all_arguments_but_two_may_be_templated() -> None:
    (named,) = re.findall(r"all but (`\w+`) and (`\w+`) may be templated", prose_of(NAME))
    fixed = {name.strip("`") for name in named}
    seen = set()
    for operator in PUBLIC:
        names = set(arguments(operator))
        if issubclass(operator, AfilnetRefreshOperator):
            names |= set(arguments(AfilnetRefreshOperator))
        # Airflow's operators have a method of that name.
        templated = {"dry_run" if name == "plan_only" else name for name in operator.template_fields}
        seen |= names - templated
        assert "afilnet_conn_id" in templated
    assert seen == fixed


@pytest.mark.parametrize(("mark", "file", "block"), EXAMPLES, ids=[example[0] for example in EXAMPLES])
def test_the_examples_are_parts_of_the_example_dags(mark: str, file: str, block: str) -> None:
    """Which ``tests/e2e`` runs as a whole."""
    text = (ROOT / "example_dags" / f"{file}.py").read_text()
    part = text.partition(f"# [START {mark}]\n")[2].partition(f"# [END {mark}]")[0]
    # Compared as code: the two stand at different depths, so a formatter may break their lines elsewhere.
    assert ast.dump(ast.parse(block)) == ast.dump(ast.parse(dedent(part)))
    assert re.findall("#.*", block) == re.findall("#.*", part.rstrip(" "))
    if "SEGMENTS" in block:
        assert "SEGMENTS = [" in text


def test_the_hooks_block_reads_columns_and_balance(afilnet_conn: object, sandbox: Sandbox) -> None:
    printed: list[Any] = []
    names: dict[str, Any] = {"print": printed.append}
    exec(compile(HOOK, NAME, "exec"), names)
    function = names["credits_for_a_campaign"].function
    assert function() == 0.0
    assert sandbox.create_group("g", "mobile", ["mobile", "name"]) == "1000"
    assert function() == 25.5
    assert printed == [["mobile", "name"]]


def test_a_method_that_has_none_here_is_sent_with_its_class(afilnet_conn: object, sandbox: Sandbox) -> None:
    """The sandbox does not know it, and says so."""
    from airflow_provider_afilnet.hooks.afilnet import AfilnetHook

    assert 'hook.call("sendsms", **{"class": "sms"}' in prose_of(NAME)
    with pytest.raises(Exception, match=r"INCORRECT_(CLASS|METHOD)"), AfilnetHook() as hook:
        hook.call("sendsms", **{"class": "sms"}, to="34600000001", sms="x")
    assert sandbox.calls[-1].method == "sendsms"


def test_the_returns_of_the_table(run_task: Callable[..., Any], afilnet_conn: object, sandbox: Sandbox) -> None:
    """What goes to XCom, where it is not tested with the operator itself."""
    from airflow_provider_afilnet.sensors.groups import AfilnetGroupExistsSensor, AfilnetGroupSizeSensor

    group = sandbox.create_group("g", "mobile", ["mobile"], [{"mobile": "34600000001"}])
    assert run_task(AfilnetGroupExistsSensor(task_id="t", group_id=group)).value is True
    assert run_task(AfilnetGroupSizeSensor(task_id="t", group_id=group, min_contacts=1)).value == 1


def test_the_registrys_file_names_what_the_package_has() -> None:
    registry = yaml.safe_load((ROOT / ".airflow-registry.yaml").read_text())
    info = get_provider_info()
    assert (registry.pop("package-name"), registry.pop("display-name")) == (info["package-name"], info["name"])
    assert registry.pop("description").startswith("Contact groups of Afilnet for SMS, e-mail and voice campaigns")
    expected = {
        "hooks": [info["connection-types"][0]["hook-class-name"]],
        "operators": MODULES[:2],
        "transfers": MODULES[2:3],
        "sensors": MODULES[3:],
        "triggers": info["triggers"][0]["python-modules"],
    }
    assert set(registry) == set(expected)
    for kind, entries in registry.items():
        names = [entry["module"] for entry in entries]
        assert all(entry["description"].endswith(".") and set(entry) == {"module", "description"} for entry in entries)
        if kind == "hooks":
            assert names == expected[kind]
        elif kind == "triggers":
            assert names == [name for module in expected[kind] for name in _triggers(module)]
        else:
            assert names == [f"{module}.{o.__name__}" for module in expected[kind] for o in operators(module)]


def _triggers(module: str) -> list[str]:
    found = vars(import_module(module)).values()
    return [f"{module}.{item.__name__}" for item in found if isinstance(item, type) and item.__module__ == module]
