"""The sandbox as a real server in a thread of its own."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
import warnings
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any

import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from airflow_provider_afilnet.api.methods import GROUP_TYPES
from airflow_provider_afilnet.sandbox.app import create_app
from airflow_provider_afilnet.sandbox.calls import Call
from airflow_provider_afilnet.sandbox.dialect import Dialect
from airflow_provider_afilnet.sandbox.faults import Fault
from airflow_provider_afilnet.sandbox.state import Account, State
from airflow_provider_afilnet.sandbox.store import Group, Store
from airflow_provider_afilnet.sandbox.wire import TRANSPORT

# Longer than any pause of a client between two calls, so that no connection is closed under a call by accident.
_KEEP_ALIVE_SECONDS = 75
_STOP_SECONDS = 0.5
# Room for an address that is far too long: it is to be answered with 414, not with a broken connection.
_LONGEST_HEAD_BYTES = 1 << 20


class _Protocol(H11Protocol):
    """HTTP/1.1 whose application can reach the connection's transport."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # asyncio sets it only on sockets made with the protocol's number. Without it an answer, which is sent as head
        # and body, waits 40 ms for the client's acknowledgement.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        inner = self.app

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            scope[TRANSPORT] = transport
            await inner(scope, receive, send)

        self.app = app


class Sandbox:
    """A local Afilnet over real HTTP. Use it as a context manager, or call ``start`` and ``stop``.

    ``user``, ``password``: the first account; ``balance``: its credit. ``port``: 0 picks a free one. ``dialect``: how
    it answers, may be changed at any time. ``path``: an SQLite file that keeps the state; None keeps it in memory.
    Every method may be called from any thread. Ids are texts, as they are on the wire.
    """

    def __init__(
        self,
        *,
        user: str = "demo",
        password: str = "demo",  # noqa: S107 - a local sandbox
        balance: float = 25.5,
        host: str = "127.0.0.1",
        port: int = 0,
        dialect: Dialect | None = None,
        path: str | None = None,
    ) -> None:
        if not host.strip():
            # To the operating system it would mean every address of this machine.
            raise ValueError("host must not be blank; 127.0.0.1 is this machine only")
        self.user = user
        self.password = password
        self.host = host
        self.port = port
        self._state = State(Store(path), dialect or Dialect(), host=host)
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.add_account(user, password, balance=balance)

    # The server

    def start(self) -> Sandbox:
        """Listen, and return once calls are answered."""
        if not _is_loopback(self.host):
            warnings.warn(
                f"The Afilnet sandbox listens on {self.host}: everybody who can reach it can call it.", stacklevel=2
            )
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        listener = socket.create_server((self.host, self.port), family=family, backlog=1024)
        self.port = listener.getsockname()[1]
        listening = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(listener, listening)), name="afilnet-sandbox", daemon=True
        )
        self._thread.start()
        while not listening.wait(0.1):
            if not self._thread.is_alive():
                raise RuntimeError("The sandbox server did not start")
        return self

    async def _serve(self, listener: socket.socket, listening: threading.Event) -> None:
        # uvicorn's own Server looks whether it should end ten times a second and takes 0.2 s to do so, which is most
        # of the time of a small test; its protocol does all that is needed here.
        config = uvicorn.Config(
            create_app(self._state),
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            h11_max_incomplete_event_size=_LONGEST_HEAD_BYTES,
        )
        state = ServerState()
        self._loop = asyncio.get_running_loop()
        server = await self._loop.create_server(lambda: _Protocol(config, state, {}), sock=listener)
        listening.set()
        await self._state.stopping.wait()
        server.close()
        for connection in list(state.connections):
            connection.shutdown()
        # The calls that wait for a fault end by themselves now; a client that does not read is cut off.
        end = self._loop.time() + _STOP_SECONDS
        while state.connections or state.tasks:
            if self._loop.time() > end:
                for connection in list(state.connections):
                    connection.transport.abort()
            await asyncio.sleep(0.005)

    def stop(self) -> None:
        """End the server; calls that wait are cut off. What is in memory is lost."""
        if self._thread is None or self._loop is None:
            return
        self._loop.call_soon_threadsafe(self._state.stopping.set)
        self._thread.join()
        self._thread = None
        self._state.store.close()

    def __enter__(self) -> Sandbox:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The base address, as ``http://127.0.0.1:8765``."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def dialect(self) -> Dialect:
        """How the sandbox answers."""
        return self._state.dialect

    @dialect.setter
    def dialect(self, dialect: Dialect) -> None:
        self._state.dialect = dialect

    def add_account(self, user: str, password: str, *, balance: float = 25.5) -> None:
        """Let another user sign in, or change the password and the balance of one."""
        self._state.accounts[user] = Account(password, balance)

    def add_client(self, user: str, client_id: str, client_secret: str) -> None:
        """Let an OAuth client sign in for ``user``, at ``url`` + ``/oauth/token``, to call ``/api/json/``."""
        if user not in self._state.accounts:
            raise KeyError(f"The sandbox has no user {user}")
        self._state.tokens.clients[client_id] = (client_secret, user)

    @property
    def token_life(self) -> float:
        """Seconds that a new OAuth token lives."""
        return self._state.tokens.life

    @token_life.setter
    def token_life(self, seconds: float) -> None:
        self._state.tokens.life = seconds

    @property
    def token_requests(self) -> int:
        """How many requests for an OAuth token came; they are no calls of the API."""
        return self._state.tokens.asked

    def expire_tokens(self) -> None:
        """Refuse every OAuth token that was given so far."""
        self._state.tokens.expire()

    # What is stored, without HTTP

    def _group(self, group_id: str) -> Group:
        group = self._state.store.group(str(group_id))
        if group is None:
            raise KeyError(f"The sandbox has no group {group_id}")
        return group

    def create_group(
        self,
        name: str,
        group_type: str,
        fields: Sequence[str],
        contacts: Sequence[Mapping[str, str]] = (),
        *,
        user: str | None = None,
    ) -> str:
        """Make a group of ``user`` (default: the first account) that holds ``contacts``; answers its id."""
        if group_type not in GROUP_TYPES or group_type not in fields:
            raise ValueError(f"The type of a group is one of {', '.join(GROUP_TYPES)}, and among its fields")
        group_id = str(self._state.store.create_group(user or self.user, name, group_type, list(fields)))
        self.add_contacts(group_id, contacts)
        return group_id

    def add_contacts(self, group_id: str, contacts: Sequence[Mapping[str, str]]) -> list[str]:
        """Store contacts as they are, doubles included; answers their ids in order."""
        return [str(new) for new in self._state.store.add_contacts(self._group(group_id), contacts)]

    def remove_contacts(self, group_id: str, contact_ids: Iterable[str]) -> None:
        """Remove the contacts with these ids."""
        self._state.store.remove_contacts(self._group(group_id), map(int, contact_ids))

    def contacts(self, group_id: str) -> list[dict[str, str]]:
        """The contacts by id: ``idcontact`` and the fields that have a value."""
        pages = self._state.store.contacts(self._group(group_id).id)
        return [{"idcontact": str(contact.id), **contact.values} for page in pages for contact in page]

    def columns(self, group_id: str) -> list[str]:
        """The group's columns in order."""
        return list(self._group(group_id).fields)

    def country(self, group_id: str) -> str | None:
        """The group's country as three lower-case letters, or None."""
        country = self._group(group_id).country
        return country.lower() if country else None

    def groups(self) -> list[dict[str, Any]]:
        """The groups of all accounts by id: ``id``, ``user``, ``name``, ``type``, ``fields``."""
        return [
            {
                "id": str(group.id),
                "user": group.account,
                "name": group.name,
                "type": group.type,
                "fields": [*group.fields],
            }
            for group in self._state.store.groups()
        ]

    # What was called

    @property
    def calls(self) -> list[Call]:
        """The last 100,000 calls in the order of their arrival."""
        return self._state.log.calls

    def count(self, *methods: str) -> int:
        """How many calls of these methods arrived."""
        return self._state.log.count(methods)

    @property
    def writes(self) -> int:
        """How many calls arrived of methods that may change something."""
        return self._state.log.writes

    def sent_rows(self, group_id: str) -> dict[str, int]:
        """Key to how often a row with it was received for the group by ``addcontact`` or ``addcontactlist``."""
        return self._state.log.sent_rows(int(group_id))

    def clear_calls(self) -> None:
        """Forget every call and every received row."""
        self._state.log.clear()

    def reset(self) -> None:
        """Forget groups, contacts, calls and faults; ids begin anew. Accounts and the dialect stay."""
        self._state.reset()

    # Faults

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
        """Set a fault of ``kind``, one of ``faults.KINDS``, which also says what ``detail`` each takes.

        It hits calls of ``methods`` (default: every group method that the kind can hit). Of those it passes the
        first ``after`` over, then hits each ``every``-th (default: each one) among the next ``first`` (default: all),
        with ``probability`` (0 to 1; default: always), and at most ``count`` times (default: for ever).
        """
        return self._state.faults.add(
            kind,
            methods=methods,
            detail=detail,
            since=self._state.store.now(),
            first=first,
            count=count,
            every=1 if every is None else every,
            after=after,
            probability=probability,
        )

    def clear_faults(self) -> None:
        """Take every fault away."""
        self._state.faults.clear()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
