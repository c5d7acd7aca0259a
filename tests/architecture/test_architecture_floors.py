"""The floors of the design, read out of the sources: who may import whom, and what an import may cost."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import airflow_provider_afilnet

ROOT = "airflow_provider_afilnet"
SOURCE = Path(airflow_provider_afilnet.__file__).parent
BELOW_THE_SKIN = {"exceptions", "airflow_versions", "assets", "retries", "refresh", "api"}
MAY_IMPORT = {
    "api": {"api"},
    "refresh": {"refresh", "api"},
    "sandbox": {"sandbox", "api"},
    # The command line stands beside the Airflow skin: of no use to it, and without it.
    "cli": {"cli", "refresh", "sandbox", "api"},
    "pytest_plugin": {"pytest_plugin", "sandbox"},
    "get_provider_info": set(),
    "__init__": set(),
    # The skin has an order of its own, so that none of its packages leans on one that leans on it.
    "exceptions": {"exceptions", "refresh", "api"},
    "assets": {"assets", "api"},
    "airflow_versions": {"airflow_versions"},
    "retries": {"retries", "airflow_versions", "api"},
    "links": {"links", "api"},
    "hooks": {"hooks", *BELOW_THE_SKIN},
    "triggers": {"triggers", "hooks", *BELOW_THE_SKIN},
    "sensors": {"sensors", "links", "triggers", "hooks", *BELOW_THE_SKIN},
    "operators": {"operators", "links", "hooks", *BELOW_THE_SKIN},
    "transfers": {"transfers", "operators", "hooks", *BELOW_THE_SKIN},
    "decorators": {"decorators", "operators", "hooks", *BELOW_THE_SKIN},
}
WITHOUT_AIRFLOW = {"api", "refresh", "sandbox", "cli", "pytest_plugin", "get_provider_info", "__init__"}
COSTLY = {
    "requests",
    "aiohttp",
    "phonenumbers",
    "pycountry",
    "ijson",
    "email_validator",
    "pyarrow",
    "zeep",
    "lxml",
    "oauthlib",
}


def name_of(path: Path) -> str:
    parts = [ROOT, *path.relative_to(SOURCE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(SOURCE.rglob("*.py"))}


def floor_of(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def statements(tree: ast.AST, *, everywhere: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    """The imports: all of them, or those that run when the module is imported."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        elif everywhere or not (
            isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) or is_type_checking(node)
        ):
            yield from statements(node, everywhere=everywhere)


@cache
def imports(module: str, *, everywhere: bool) -> frozenset[str]:
    """What a module imports, as full names; ``from package import module`` counts as the module."""
    found: set[str] = set()
    for node in statements(ast.parse(MODULES[module].read_text()), everywhere=everywhere):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
            continue
        source = node.module or ""
        if node.level:
            package = module.split(".") if MODULES[module].name == "__init__.py" else module.split(".")[:-1]
            source = ".".join([*package[: len(package) - node.level + 1], *filter(None, [node.module])])
        found |= {f"{source}.{alias.name}" if f"{source}.{alias.name}" in MODULES else source for alias in node.names}
    return frozenset(found)


def ours(names: frozenset[str]) -> set[str]:
    return {name for name in names if name == ROOT or name.startswith(f"{ROOT}.")}


def test_the_sources_are_found() -> None:
    assert {f"{ROOT}.api.client", f"{ROOT}.api.methods", f"{ROOT}.sandbox"} <= set(MODULES)
    assert f"{ROOT}.api.styles" in ours(imports(f"{ROOT}.api.client", everywhere=False))
    assert "requests" in imports(f"{ROOT}.api.client", everywhere=True)
    assert "requests" not in imports(f"{ROOT}.api.client", everywhere=False)


@pytest.mark.parametrize("module", MODULES)
def test_a_floor_imports_only_from_floors_below(module: str) -> None:
    floor = floor_of(module)
    assert floor in MAY_IMPORT, f"{module} is on no known floor"
    # The root itself holds nothing but the version.
    wrong = {
        name for name in ours(imports(module, everywhere=True)) - {ROOT} if floor_of(name) not in MAY_IMPORT[floor]
    }
    assert not wrong
    if floor in ("get_provider_info", "__init__"):
        assert not ours(imports(module, everywhere=True))


@pytest.mark.parametrize("module", MODULES)
def test_only_the_skin_knows_airflow(module: str) -> None:
    found = {name for name in imports(module, everywhere=True) if name.split(".")[0] == "airflow"}
    assert not found or floor_of(module) not in WITHOUT_AIRFLOW


@pytest.mark.parametrize("module", MODULES)
def test_no_module_for_odds_and_ends(module: str) -> None:
    assert not {"utils", "util", "helpers", "helper", "common", "misc"} & set(module.split("."))


def test_no_circles_of_imports() -> None:
    open_, done = [], set()

    def visit(module: str) -> None:
        assert module not in open_, " -> ".join([*open_[open_.index(module) :], module])
        if module in done:
            return
        open_.append(module)
        for name in sorted(ours(imports(module, everywhere=False)) & set(MODULES) - {ROOT}):
            visit(name)
        done.add(open_.pop())

    for module in MODULES:
        visit(module)
    assert done == set(MODULES)


def loaded_by(*modules: str) -> set[str]:
    """The modules that a fresh interpreter holds after importing these."""
    code = f"import sys, {', '.join(modules)}; print(*sys.modules, sep='\\n')"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize("module", [m for m in MODULES if floor_of(m) in ("api", "refresh")])
def test_costly_libraries_are_imported_by_lazy_modules_only(module: str) -> None:
    """A module may import one at its top if every module of ours that imports it does so inside a function."""
    direct = {name.split(".")[0] for name in imports(module, everywhere=False)} & COSTLY
    if direct:
        eager = {other for other in MODULES if module in imports(other, everywhere=False)}
        assert not eager, f"{module} imports {direct} and is imported at the top of {eager}"


def test_the_sandbox_is_loaded_by_its_own_command_only() -> None:
    loaded = loaded_by(f"{ROOT}.cli.main")
    assert not {name for name in loaded if name.startswith((f"{ROOT}.sandbox", "uvicorn", "starlette"))}


def test_importing_the_package_costs_nothing() -> None:
    loaded = loaded_by(ROOT)
    assert {name for name in loaded if name.startswith(ROOT)} == {ROOT}
    assert not loaded & COSTLY


def test_provider_info_costs_nothing() -> None:
    path = SOURCE / "get_provider_info.py"
    if path.exists():
        loaded = loaded_by(f"{ROOT}.get_provider_info")
        assert {name for name in loaded if name.startswith(ROOT)} == {ROOT, f"{ROOT}.get_provider_info"}
        assert "airflow" not in loaded


@pytest.mark.parametrize("floor", ["api", "refresh", "sandbox", "cli"])
def test_a_floor_alone_is_cheap_and_free_of_airflow(floor: str) -> None:
    """All of a floor but the modules that are meant to be imported lazily, in one fresh interpreter."""
    eager = [
        module
        for module in MODULES
        if floor_of(module) == floor
        and not module.endswith("__main__")
        and not {name.split(".")[0] for name in imports(module, everywhere=False)} & COSTLY
    ]
    assert eager
    loaded = loaded_by(*eager)
    assert not {"airflow", *COSTLY} & loaded
    assert {floor_of(name) for name in loaded if name.startswith(f"{ROOT}.")} <= MAY_IMPORT[floor]


def of_airflow(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom):
        return (node.module or "").split(".")[0] == "airflow"
    return isinstance(node, ast.Import) and any(alias.name.split(".")[0] == "airflow" for alias in node.names)


def asks_for_airflows_version(source: str) -> list[str]:
    """The places that read the version of Airflow, or try whether it has something, as the lines of the source."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Try):
            caught = {
                name.id for one in node.handlers for name in ast.walk(one.type or one) if isinstance(name, ast.Name)
            }
            tried = [inner for part in node.body for inner in ast.walk(part)]
            asks = bool(caught & {"ImportError", "ModuleNotFoundError"}) and any(map(of_airflow, tried))
        elif isinstance(node, ast.ImportFrom):
            asks = "version_compat" in (node.module or "") or (
                of_airflow(node) and any(alias.name in ("__version__", "version") for alias in node.names)
            )
        elif isinstance(node, ast.Attribute):
            asks = ast.unparse(node) in ("airflow.__version__", "airflow.version")
        elif isinstance(node, ast.Call):
            asks = ast.unparse(node.func).split(".")[-1] in ("version", "find_spec", "import_module") and any(
                "airflow" in ast.unparse(part).replace(ROOT, "") for part in node.args
            )
        else:
            asks = False
        if asks:
            found.append(ast.unparse(node).splitlines()[0])
    return found


@pytest.mark.parametrize(
    "source",
    [
        "try:\n    from airflow.sdk import RetryPolicy\nexcept ImportError:\n    RetryPolicy = object",
        "try:\n    import airflow.sdk.serde\nexcept (ValueError, ModuleNotFoundError):\n    pass",
        "from airflow import __version__",
        "from airflow.version import version",
        "from airflow.providers.http.version_compat import AIRFLOW_V_3_1_PLUS",
        "import airflow\nnew = airflow.__version__ > '3.1'",
        "import importlib.metadata\nfound = importlib.metadata.version('apache-airflow-core')",
        "from importlib.util import find_spec\nnew = find_spec('airflow.sdk.serde')",
    ],
)
def test_a_question_for_airflows_version_is_recognised(source: str) -> None:
    assert asks_for_airflows_version(source)


@pytest.mark.parametrize("module", MODULES)
def test_one_module_knows_what_differs_between_the_versions_of_airflow(module: str) -> None:
    found = asks_for_airflows_version(MODULES[module].read_text())
    assert bool(found) == (module == f"{ROOT}.airflow_versions"), found
