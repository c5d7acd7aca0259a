"""What the parts of the sandbox's application share."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from airflow_provider_afilnet.sandbox.calls import CallLog
from airflow_provider_afilnet.sandbox.dialect import Dialect
from airflow_provider_afilnet.sandbox.faults import Faults
from airflow_provider_afilnet.sandbox.oauth import Tokens
from airflow_provider_afilnet.sandbox.store import Store


@dataclass(slots=True)
class Account:
    """Who may sign in, and the credit that ``getbalance`` answers."""

    password: str
    balance: float


@dataclass(slots=True)
class State:
    """Everything that the application and :class:`~airflow_provider_afilnet.sandbox.server.Sandbox` share.

    ``host``: the address or name that the server listens on.
    """

    store: Store
    dialect: Dialect
    accounts: dict[str, Account] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)
    log: CallLog = field(default_factory=CallLog)
    tokens: Tokens = field(default_factory=Tokens)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    host: str = "127.0.0.1"

    def reset(self) -> None:
        """Forget groups, contacts, calls and faults. Accounts and the dialect stay."""
        self.store.reset()
        self.faults.clear()
        self.log.clear()
