"""A pytest plugin for the tests of your own DAGs: the fixture ``afilnet_sandbox``.

pytest finds it by itself where this package is installed, so importing it must cost nothing: it loads neither Airflow
nor the sandbox until a test uses the fixture.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from airflow_provider_afilnet.sandbox import Dialect, Fault, Sandbox
    from airflow_provider_afilnet.sandbox.calls import Call

__all__ = ["AfilnetSandbox", "afilnet_sandbox"]

# Airflow masks a connection's password in every log line, so it must be no word that a test may want to read there.
_PASSWORD = "afilnet-sandbox-password"  # noqa: S105 - of a server that lives as long as one test


class AfilnetSandbox:
    """A local Afilnet that lives as long as one test. ``sandbox`` is the whole of it, for what is not here."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    @property
    def url(self) -> str:
        """The base address, as ``http://127.0.0.1:40001``: ``host`` of a connection."""
        return self.sandbox.url

    @property
    def groups(self) -> list[dict[str, Any]]:
        """The groups by id, each with ``id``, ``user``, ``name``, ``type`` and ``fields``."""
        return self.sandbox.groups()

    def contacts(self, group_id: str | int) -> list[dict[str, str]]:
        """The contacts of a group by id: ``idcontact`` and the fields that have a value."""
        return self.sandbox.contacts(str(group_id))

    @property
    def calls(self) -> list[Call]:
        """The calls that arrived, in order, each with ``method``, ``params``, ``status``, ``error`` and more."""
        return self.sandbox.calls

    @property
    def dialect(self) -> Dialect:
        """How the sandbox answers where Afilnet's documents are silent; may be set at any time."""
        return self.sandbox.dialect

    @dialect.setter
    def dialect(self, dialect: Dialect) -> None:
        self.sandbox.dialect = dialect

    def create_group(
        self,
        name: str = "group",
        group_type: str = "mobile",
        fields: Sequence[str] = ("mobile", "name"),
        contacts: Sequence[Mapping[str, str]] = (),
    ) -> str:
        """Make a group that holds ``contacts``; answers its id."""
        return self.sandbox.create_group(name, group_type, fields, contacts)

    def fail(
        self,
        kind: str,
        *,
        methods: str | Iterable[str] | None = None,
        first: int | None = None,
        count: int | None = None,
        every: int | None = None,
        after: int = 0,
        probability: float | None = None,
        **detail: Any,
    ) -> Fault:
        """Set a fault, as :meth:`airflow_provider_afilnet.sandbox.Sandbox.fail` does."""
        return self.sandbox.fail(
            kind,
            methods=methods,
            first=first,
            count=count,
            every=every,
            after=after,
            probability=probability,
            **detail,
        )

    def connection_env(self, conn_id: str = "afilnet_default", **extra: Any) -> dict[str, str]:
        """The environment variable that is the Airflow connection ``conn_id`` to this sandbox.

        ``extra``: extras of the connection. Without ``max_requests_per_second`` there is no limit: a test need not be
        careful.
        """
        connection = {
            "conn_type": "afilnet",
            "host": self.url,
            "login": self.sandbox.user,
            "password": self.sandbox.password,
            "extra": {"max_requests_per_second": 0, **extra},
        }
        return {f"AIRFLOW_CONN_{conn_id.upper()}": json.dumps(connection)}


@pytest.fixture
def afilnet_sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[AfilnetSandbox]:
    """A fresh local Afilnet, which is also the Airflow connection ``afilnet_default`` of this test."""
    from airflow_provider_afilnet.sandbox import Sandbox

    with Sandbox(user="sandbox@example.com", password=_PASSWORD) as running:
        sandbox = AfilnetSandbox(running)
        for name, value in sandbox.connection_env().items():
            monkeypatch.setenv(name, value)
        yield sandbox
