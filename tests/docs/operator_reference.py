"""The parts of ``docs/operators.md`` that are made of the code's own docstrings and signatures.

Run as ``python tests/docs/operator_reference.py`` to write it anew; ``test_docs_operators`` compares it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[2] / "docs" / "operators.md"
MODULES = (
    "airflow_provider_afilnet.operators.groups",
    "airflow_provider_afilnet.operators.contacts",
    "airflow_provider_afilnet.transfers.sql_to_afilnet_group",
    "airflow_provider_afilnet.sensors.groups",
)
FROM_CONFIGURATION = {"deferrable": "Airflow's `[operators] default_deferrable`"}
"""Defaults that depend on where the reader looks."""


def operators(module: str) -> Iterator[type]:
    """The operators and sensors that a module defines, in its order."""
    from airflow.providers.common.compat.sdk import BaseOperator

    for name, found in vars(import_module(module)).items():
        if inspect.isclass(found) and issubclass(found, BaseOperator) and found.__module__ == module:
            assert not name.startswith("_")
            yield found


def arguments(operator: type) -> dict[str, Any]:
    """The operator's own arguments and their defaults."""
    parameters = inspect.signature(operator.__init__).parameters  # type: ignore[misc]
    return {
        name: found.default for name, found in parameters.items() if name != "self" and found.kind is found.KEYWORD_ONLY
    }


def described(operator: type) -> tuple[str, dict[str, str]]:
    """The text of the docstring in Markdown, and what it says of each argument."""
    text = inspect.getdoc(operator) or ""
    body, *params = re.split(r"^:param ", text, flags=re.MULTILINE)
    said = {}
    for param in params:
        name, _, rest = param.partition(":")
        said[name.strip()] = _markdown(" ".join(rest.split()))
    return _markdown(body.strip()), said


def _markdown(text: str) -> str:
    text = re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"`\1`", text)
    return text.replace("``", "`")


def _default(name: str, value: Any) -> str:
    if name in FROM_CONFIGURATION:
        return FROM_CONFIGURATION[name]
    return "mandatory" if value is inspect.Parameter.empty else f"`{value!r}`"


def reference() -> str:
    """The whole of it."""
    parts = []
    for module in MODULES:
        parts.append(f"## `{module.removeprefix('airflow_provider_afilnet.')}`\n")
        for operator in operators(module):
            body, said = described(operator)
            parts.append(f"### {operator.__name__}\n\n{body}\n")
            rows = [
                f"| `{name}` | {_default(name, value)} | {said[name]} |" for name, value in arguments(operator).items()
            ]
            parts.append("\n".join(["| argument | default | meaning |", "|---|---|---|", *rows]) + "\n")
    return "\n".join(parts)


def errors() -> str:
    """A table of the typed errors."""
    from airflow_provider_afilnet import exceptions

    rows = []
    for name in exceptions.__all__:
        error = getattr(exceptions, name)
        said = _markdown(" ".join((inspect.getdoc(error) or "").split("\n\n")[0].split()))
        rows.append(f"| `{name}` | {said} | {'yes' if error.default_retryable else 'no'} |")
    return "\n".join(["| error | meaning | retried |", "|---|---|---|", *rows])


def page_anew(text: str) -> str:
    """The page's text with these parts as they have to be."""
    for name, made in (("errors", errors()), ("reference", reference())):
        begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
        before, found, rest = text.partition(begin)
        assert found, f"{PAGE.name} has no mark {begin.strip()}"
        text = f"{before}{begin}\n{made.rstrip()}\n\n{end}{rest.partition(end)[2]}"
    return text


if __name__ == "__main__":
    PAGE.write_text(page_anew(PAGE.read_text()))
