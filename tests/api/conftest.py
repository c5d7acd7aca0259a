"""A sandbox, a raw server for misbehaviour on the wire, and one way to ask either client."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from api_styles import CLIENT_ID, CLIENT_SECRET, in_envelope, preparation

from airflow_provider_afilnet.api.client import AfilnetClient, AsyncAfilnetClient
from airflow_provider_afilnet.api.errors import AfilnetError
from airflow_provider_afilnet.api.settings import ClientSettings
from airflow_provider_afilnet.sandbox import Sandbox

PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as server:
        server.add_client(server.user, CLIENT_ID, CLIENT_SECRET)
        yield server


@dataclass
class RawRequest:
    """A request as it came: its first line, headers by lower-case name, body, and the number of its connection."""

    line: str
    headers: dict[str, str]
    body: bytes
    connection: int


class RawServer:
    """Answers every request with the bytes that ``answer`` returns; ``None`` closes the connection without a word.

    ``answer`` may wait on ``released``, which is set when the test ends. Connections are kept alive, or closed after
    each answer with ``close_after``. The WSDL and a token are given without asking ``answer``, unless ``bare``; these
    requests are in ``prepared``. What answers a SOAP call is put into an envelope.
    """

    def __init__(
        self,
        answer: Callable[[RawRequest], bytes | None],
        tls: ssl.SSLContext | None = None,
        close_after: bool = False,
        bare: bool = False,
    ) -> None:
        self.requests: list[RawRequest] = []
        self.prepared: list[RawRequest] = []
        self._bare = bare
        self.connections = 0
        self.released = threading.Event()
        self._answer, self._tls, self._close_after = answer, tls, close_after
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(peer, self.connections), daemon=True).start()

    def _serve(self, peer: socket.socket, connection: int) -> None:
        try:
            if self._tls:
                peer = self._tls.wrap_socket(peer, server_side=True)
            elif peer.recv(1, socket.MSG_PEEK) == b"\x16":
                # The start of TLS, which a server without it answers as real ones do.
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                peer.close()
                return
            with peer, peer.makefile("rb") as stream:
                while line := stream.readline():
                    headers = {}
                    while header := stream.readline().strip():
                        name, _, value = header.decode("latin-1").partition(":")
                        headers[name.lower()] = value.strip()
                    body = stream.read(int(headers.get("content-length", "0")))
                    request = RawRequest(line.decode("latin-1").strip(), headers, body, connection)
                    answer = None if self._bare else preparation(request.line, self.url)
                    if answer is not None:
                        self.prepared.append(request)
                        peer.sendall(answer)
                        continue
                    self.requests.append(request)
                    answer = self._answer(request)
                    if answer is not None and request.line.startswith("POST /soap ") and not self._bare:
                        answer = in_envelope(answer)
                    if answer is not None:
                        peer.sendall(answer)
                    if answer is None or self._close_after:
                        peer.shutdown(socket.SHUT_RDWR)
                        return
        except OSError:
            peer.close()

    def close(self) -> None:
        self.released.set()
        self._listener.close()


@pytest.fixture
def raw_server() -> Iterator[Callable[..., RawServer]]:
    servers: list[RawServer] = []

    def start(answer: Callable[[RawRequest], bytes | None] | bytes | None, **options: Any) -> RawServer:
        servers.append(RawServer(answer if callable(answer) else lambda _: answer, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture(scope="session")
def http() -> Callable[..., bytes]:
    """Write an HTTP answer."""

    def write(status: int = 200, body: str | bytes = b"", *headers: str, kind: str = "application/json") -> bytes:
        body = body.encode() if isinstance(body, str) else body
        lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", f"Content-Type: {kind}", *headers]
        return "\r\n".join([*lines, "", ""]).encode() + body

    return write


class Asker:
    """One of the two clients behind one interface; ``calls`` are pairs of method and parameters, on one client."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def many(self, settings: ClientSettings, *calls: tuple[str, dict[str, object]]) -> list[Any]:
        """Each call's result, or the error that it raised."""
        if self.kind == "sync":
            with AfilnetClient(settings) as client:
                return [
                    self._kept(lambda name=name, params=params: client.call(name, **params)) for name, params in calls
                ]

        async def run() -> list[Any]:
            async with AsyncAfilnetClient(settings) as client:
                outcomes = []
                for name, params in calls:
                    try:
                        outcomes.append(await client.call(name, **params))
                    except AfilnetError as error:
                        outcomes.append(error)
                return outcomes

        return asyncio.run(run())

    @staticmethod
    def _kept(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except AfilnetError as error:
            return error

    def one(self, settings: ClientSettings, name: str, /, **params: object) -> Any:
        """The result of one call, or the error that it raised; an unusable setting counts as one."""
        return self._kept(lambda: self.many(settings, (name, params))[0])

    def contacts(self, settings: ClientSettings, group_id: str) -> Any:
        """The streamed contacts, or the error."""

        def read() -> Any:
            with AfilnetClient(settings) as client:
                return list(client.contacts(group_id))

        async def read_async() -> Any:
            async with AsyncAfilnetClient(settings) as client:
                return [record async for record in client.contacts(group_id)]

        return self._kept(read if self.kind == "sync" else lambda: asyncio.run(read_async()))


@pytest.fixture(params=["sync", "async"])
def asker(request: pytest.FixtureRequest) -> Asker:
    return Asker(request.param)


@pytest.fixture
def askers() -> list[Asker]:
    return [Asker("sync"), Asker("async")]


@pytest.fixture(scope="session")
def params_of() -> Callable[[str], dict[str, object]]:
    """Parameters that pass the client's checks, for any method."""
    samples = {
        "idgroup": "1000",
        "idcontact": "100001",
        "name": "N",
        "type": "mobile",
        "fields": "mobile,name",
        "field": "city",
        "countryiso3": "esp",
        "contact": "mobile:34600000001",
        "contacts": '[{"mobile":"34600000001"}]',
    }

    def build(name: str) -> dict[str, object]:
        from airflow_provider_afilnet.api.methods import METHODS

        return {param: samples[param] for param in METHODS[name].params}

    return build
