"""What the triggers of one process share: the reading of a connection, and the client that is made of it.

Each trigger for itself would be correct too. But a triggerer runs a thousand of them in one event loop, and a thousand
look-ups of one connection, TLS contexts, tokens and sockets take it seconds in which no trigger is on time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final
from weakref import WeakKeyDictionary

from airflow.providers.common.compat.connection import get_async_connection, get_async_extra_dejson

from airflow_provider_afilnet.api.client import AsyncAfilnetClient
from airflow_provider_afilnet.api.settings import ClientSettings
from airflow_provider_afilnet.hooks.afilnet import settings_of

CALLS_AT_ONCE: Final = 100
"""Calls under way at once for one connection. The others wait their turn, which costs the loop nothing: those that come
due together never begin in one step of it."""


class _Reading:
    """The last reading of one connection, and who waits for the next."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.waiting = 0
        self.began = 0.0
        self.outcome: ClientSettings | Exception | None = None


class SharedClient:
    """A client that several triggers use, in turns. Made by :func:`shared_client`."""

    def __init__(self, settings: ClientSettings) -> None:
        self.users = 0
        self._client = AsyncAfilnetClient(replace(settings, max_connections=CALLS_AT_ONCE))
        self._turns = asyncio.Semaphore(CALLS_AT_ONCE)
        self._opening = asyncio.Lock()
        self._is_open = False

    async def call(self, name: str, /, **params: object) -> Any:
        """Make one call when it is its turn; otherwise as :meth:`AsyncAfilnetClient.call`."""
        async with self._turns:
            return await self._client.call(name, **params)

    async def open(self) -> None:
        async with self._opening:
            if not self._is_open:
                await self._client.__aenter__()
                self._is_open = True

    async def close(self) -> None:
        await self._client.__aexit__(None, None, None)


_readings: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Reading]] = WeakKeyDictionary()
_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[ClientSettings, SharedClient]] = WeakKeyDictionary()


async def connection_settings(conn_id: str) -> ClientSettings:
    """Read a connection strictly, and mask its secrets.

    Who asks while others wait gets the reading of one of them. It always began after the question, so nothing that was
    changed before is missed, and nothing is kept for later. They share a failure too, or each
    would wait it out in turn.

    :raises AfilnetConfigurationError: naming the connection, the field and the way out.
    """
    asked = time.monotonic()
    readings = _readings.setdefault(asyncio.get_running_loop(), {})
    reading = readings.setdefault(conn_id, _Reading())
    reading.waiting += 1
    try:
        async with reading.turn:
            if reading.outcome is None or reading.began < asked:
                reading.outcome, reading.began = None, time.monotonic()
                try:
                    reading.outcome = await _settings(conn_id)
                except Exception as error:  # noqa: BLE001 - raised below, for all who wait for this reading
                    reading.outcome = error
            if isinstance(reading.outcome, Exception):
                raise reading.outcome
            return reading.outcome
    finally:
        reading.waiting -= 1
        if not reading.waiting:
            del readings[conn_id]


async def _settings(conn_id: str) -> ClientSettings:
    connection = await get_async_connection(conn_id)
    settings = settings_of(connection)
    # Only for its side effect: it masks the secrets inside the extra, without blocking the triggerer.
    await get_async_extra_dejson(connection)
    return settings


@asynccontextmanager
async def shared_client(settings: ClientSettings) -> AsyncIterator[SharedClient]:
    """The client of this event loop for these settings; the last who leaves closes it."""
    clients = _clients.setdefault(asyncio.get_running_loop(), {})
    client = clients.get(settings)
    if client is None:
        client = clients[settings] = SharedClient(settings)
    client.users += 1
    try:
        await client.open()
        yield client
    finally:
        client.users -= 1
        if not client.users:
            del clients[settings]
            await client.close()
