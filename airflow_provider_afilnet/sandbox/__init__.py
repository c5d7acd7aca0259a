"""A local Afilnet over real HTTP, with state in SQLite and faults on demand. It imports only ``api``.

The names are loaded on first use, so that importing the package costs neither Starlette nor uvicorn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_afilnet.sandbox.dialect import Dialect
    from airflow_provider_afilnet.sandbox.faults import Fault
    from airflow_provider_afilnet.sandbox.server import Sandbox

__all__ = ["Sandbox", "Dialect", "Fault"]

_HOMES = {"Sandbox": "server", "Dialect": "dialect", "Fault": "faults"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
