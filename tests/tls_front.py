"""HTTPS in front of a server that speaks plain HTTP: a relay in a thread, with a certificate made for it."""

from __future__ import annotations

import asyncio
import ssl
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import certifi
from certificates import self_signed

ADDRESS = "127.0.0.1"


class TlsFront:
    """Use it as a context manager. ``url``: where it listens. ``bundle``: the authorities to trust, as many as usual.

    :param target: base address of the server behind it.
    :param folder: where the certificate is written.
    """

    def __init__(self, target: str, folder: Path) -> None:
        self._port = urlsplit(target).port
        self.bundle = folder / "authorities.pem"
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        own = self_signed(folder / "own.pem", ADDRESS)
        self._context.load_cert_chain(own)
        self.bundle.write_bytes(Path(certifi.where()).read_bytes() + b"\n" + own.read_bytes())
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        listening = asyncio.start_server(self._relay, ADDRESS, 0, ssl=self._context, backlog=1024)
        self._server = asyncio.run_coroutine_threadsafe(listening, self._loop).result()
        self.url = f"https://{ADDRESS}:{self._server.sockets[0].getsockname()[1]}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        relays = asyncio.all_tasks() - {asyncio.current_task()}
        for relay in relays:
            relay.cancel()
        await asyncio.gather(*relays, return_exceptions=True)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(ADDRESS, self._port)
        try:
            await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))
        finally:
            writer.close()
            inner_writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
