"""The control endpoints under ``/_sandbox/``: what a test wants to set and to know, as JSON."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from airflow_provider_afilnet.api.methods import GROUP_TYPES
from airflow_provider_afilnet.sandbox.answers import encode
from airflow_provider_afilnet.sandbox.calls import Call
from airflow_provider_afilnet.sandbox.dialect import dialects_of
from airflow_provider_afilnet.sandbox.guard import Endpoint, WrongInputError, guarded
from airflow_provider_afilnet.sandbox.state import Account, State
from airflow_provider_afilnet.sandbox.store import ForgottenError, Group
from airflow_provider_afilnet.sandbox.wire import Streamed

PREFIX: Final = "/_sandbox"

_JSON = "application/json"
_JSON_LINES = "application/x-ndjson"
_PER_PART = 500


def control_routes(state: State) -> list[Route]:
    """The routes of everything under ``/_sandbox/``."""
    # Health is for probes, which call a machine by any name, and tells nothing.
    routes = [Route(f"{PREFIX}/health", _health)]
    for path, endpoints in _Control(state).endpoints().items():
        for method, endpoint in endpoints.items():
            routes.append(Route(PREFIX + path, guarded(state, endpoint), methods=[method]))
    return routes


async def _health(request: Request) -> Response:
    return _json({"status": "ok"})


def described(state: State, group: Group) -> dict[str, Any]:
    """What the sandbox shows of a group."""
    return {
        "id": str(group.id),
        "user": group.account,
        "name": group.name,
        "type": group.type,
        "fields": [*group.fields],
        "country": group.country.lower() if group.country else None,
        "size": state.store.size(group),
    }


class _Control:
    """One method per endpoint."""

    def __init__(self, state: State) -> None:
        self._state = state

    def endpoints(self) -> dict[str, dict[str, Endpoint]]:
        return {
            "/calls": {"GET": self.calls, "DELETE": self.clear_calls},
            "/faults": {"GET": self.faults, "POST": self.add_fault, "DELETE": self.clear_faults},
            "/faults/{id}": {"DELETE": self.remove_fault},
            "/reset": {"POST": self.reset},
            "/dialect": {"GET": self.dialect, "PUT": self.set_dialect},
            "/accounts": {"GET": self.accounts, "POST": self.add_account},
            "/groups": {"GET": self.groups, "POST": self.add_group},
            "/groups/{id}/contacts": {"GET": self.contacts, "POST": self.add_contacts},
        }

    # Calls

    async def calls(self, request: Request) -> Response:
        method, after = request.query_params.get("method"), request.query_params.get("after", "0")
        if not (after.isascii() and after.isdigit() and len(after) < 18):
            raise WrongInputError("after must be the number of a call.")
        chosen = (
            call
            for call in self._state.log.calls
            if call.number > int(after) and (method is None or call.method == method)
        )
        return Streamed(_list("calls", map(_call, chosen)), _JSON)

    async def clear_calls(self, request: Request) -> Response:
        self._state.log.clear()
        return _done()

    # Faults

    async def faults(self, request: Request) -> Response:
        return _json({"faults": [fault.described() for fault in self._state.faults.all]})

    async def add_fault(self, request: Request) -> Response:
        body = await _object(request)
        when = {name: body.pop(name, default) for name, default in _WHEN.items()}
        try:
            fault = self._state.faults.add(
                body.pop("kind", None),
                methods=body.pop("methods", None),
                since=self._state.store.now(),
                detail=body,
                **{name: _WHEN[name] if value is None else value for name, value in when.items()},
            )
        except ValueError as error:
            raise WrongInputError(f"{error}.") from error
        return _json(fault.described(), 201)

    async def clear_faults(self, request: Request) -> Response:
        self._state.faults.clear()
        return _done()

    async def remove_fault(self, request: Request) -> Response:
        wanted = request.path_params["id"]
        for fault in self._state.faults.all:
            if str(fault.id) == wanted:
                fault.remove()
                return _done()
        raise WrongInputError("There is no such fault.", status=404)

    # The whole

    async def reset(self, request: Request) -> Response:
        if await _object(request):
            raise WrongInputError("A reset takes no arguments.")
        # It has to wait for whoever writes just now.
        await asyncio.to_thread(self._state.reset)
        return _done()

    async def dialect(self, request: Request) -> Response:
        return _json(asdict(self._state.dialect))

    async def set_dialect(self, request: Request) -> Response:
        body = await _object(request)
        try:
            for name, value in body.items():
                if not dialects_of(name) and not (isinstance(value, str) and value.isascii() and value.isprintable()):
                    raise WrongInputError(f"The dialect field {name} must be plain text.")
            self._state.dialect = replace(self._state.dialect, **body)
        except ValueError as error:
            raise WrongInputError(f"{error}.") from error
        return _json(asdict(self._state.dialect))

    async def accounts(self, request: Request) -> Response:
        accounts = self._state.accounts.items()
        return _json({"accounts": [{"user": user, "balance": account.balance} for user, account in list(accounts)]})

    async def add_account(self, request: Request) -> Response:
        body = await _object(request)
        user, password = _text(body, "user"), _text(body, "password")
        balance = body.pop("balance", 25.5)
        if isinstance(balance, bool) or not isinstance(balance, int | float) or not abs(balance) < 1e15:
            raise WrongInputError("balance must be a number.")
        client = [_text(body, name) for name in _CLIENT] if body.keys() & set(_CLIENT) else []
        _nothing_else(body)
        self._state.accounts[user] = Account(password, balance)
        if client:
            self._state.tokens.clients[client[0]] = (client[1], user)
        return _json({"user": user, "balance": balance}, 201)

    # Groups and contacts

    async def groups(self, request: Request) -> Response:
        groups = self._state.store.groups()
        return Streamed(_list("groups", (described(self._state, group) for group in groups)), _JSON)

    async def add_group(self, request: Request) -> Response:
        body = await _object(request)
        name, group_type = _text(body, "name"), _text(body, "type")
        fields = body.pop("fields", None)
        if group_type not in GROUP_TYPES:
            raise WrongInputError(f"type must be one of {', '.join(GROUP_TYPES)}.")
        if not isinstance(fields, list) or not all(isinstance(field, str) and field for field in fields):
            raise WrongInputError("fields must be a list of column names.")
        if group_type not in fields or len(set(fields)) != len(fields):
            raise WrongInputError(f"fields must hold {group_type}, and every column once.")
        user = _text(body, "user") if "user" in body else next(iter(self._state.accounts))
        if user not in self._state.accounts:
            raise WrongInputError("user must be one of the sandbox's accounts.")
        contacts = await asyncio.to_thread(_contacts, body.pop("contacts", []), group_type, fields)
        _nothing_else(body)
        group_id = self._state.store.create_group(user, name, group_type, fields)
        group = self._group(str(group_id))
        ids = await self._add(group, contacts)
        return _json({**described(self._state, group), "contacts": ids}, 201)

    async def contacts(self, request: Request) -> Response:
        group = self._group(request.path_params["id"])
        pages = self._state.store.contacts(group.id)
        lines = (
            "".join(f"{encode({'idcontact': str(contact.id), **contact.values})}\n" for contact in page)
            for page in pages
        )
        return Streamed(lines, _JSON_LINES)

    async def add_contacts(self, request: Request) -> Response:
        group = self._group(request.path_params["id"])
        body = await _object(request)
        contacts = await asyncio.to_thread(_contacts, body.pop("contacts", None), group.type, group.fields)
        _nothing_else(body)
        return _json({"contacts": await self._add(group, contacts)}, 201)

    def _group(self, group_id: str) -> Group:
        group = self._state.store.group(group_id)
        if group is None:
            raise WrongInputError("The sandbox has no such group.", status=404)
        return group

    async def _add(self, group: Group, contacts: list[dict[str, str]]) -> dict[str, str | int | None]:
        """Store the contacts; how many, and the first and the last id: those between are in order."""
        try:
            ids = await asyncio.to_thread(self._state.store.add_contacts, group, contacts)
        except ForgottenError as error:
            raise WrongInputError("The sandbox was reset meanwhile.", status=409) from error
        return {"count": len(ids), "first": str(ids[0]) if ids else None, "last": str(ids[-1]) if ids else None}


_CLIENT: Final = ("client_id", "client_secret")
_WHEN: Final[Mapping[str, Any]] = {"first": None, "count": None, "every": 1, "after": 0, "probability": None}


def _json(content: object, status: int = 200) -> Response:
    # ASCII only, since a text may hold what UTF-8 cannot.
    return Response(encode(content), status, media_type=_JSON)


def _done() -> Response:
    return _json({"status": "ok"})


def _call(call: Call) -> dict[str, Any]:
    shown = asdict(call)
    del shown["at"]
    return shown


def _list(name: str, items: Iterator[dict[str, Any]]) -> Iterator[str]:
    """``{"name": [...]}`` in parts."""
    part: list[str] = []
    before = f'{{"{name}":['
    for item in items:
        part.append(encode(item))
        if len(part) == _PER_PART:
            yield before + ",".join(part)
            before, part = ",", []
    yield (before if part or before != "," else "") + ",".join(part) + "]}"


# What comes in


def _never(text: str) -> None:
    raise ValueError(text)


def _read(body: bytes) -> object:
    """The JSON document, or ValueError. Without NaN, infinities and half characters, which nothing could store."""
    document = json.loads(body or b"{}", parse_constant=_never)
    if b"\\u" in body:
        json.dumps(document, ensure_ascii=False).encode()
    return document


async def _object(request: Request) -> dict[str, Any]:
    body = await request.body()
    try:
        document = await asyncio.to_thread(_read, body)
    except (ValueError, RecursionError) as error:
        raise WrongInputError("The body is no JSON document.") from error
    if not isinstance(document, dict):
        raise WrongInputError("The body must be a JSON object.")
    return document


def _text(body: dict[str, Any], name: str) -> str:
    value = body.pop(name, None)
    if not isinstance(value, str) or not value:
        raise WrongInputError(f"{name} must be a text that is not blank.")
    return value


def _nothing_else(body: dict[str, Any]) -> None:
    if body:
        raise WrongInputError(f"Nothing is known of {', '.join(map(repr, sorted(body)[:5]))}.")


def _contacts(value: object, key_field: str, fields: object) -> list[dict[str, str]]:
    if not isinstance(value, list):
        raise WrongInputError("contacts must be a list of objects.")
    known = set(fields) if isinstance(fields, list | tuple) else set()
    for number, contact in enumerate(value, 1):
        if not isinstance(contact, dict) or not all(isinstance(text, str) for text in contact.values()):
            raise WrongInputError(f"Contact {number} must be an object whose values are texts.")
        if not contact.get(key_field):
            raise WrongInputError(f"Contact {number} has no {key_field}.")
        if not contact.keys() <= known:
            raise WrongInputError(f"Contact {number} has a field that is not a column of the group.")
    return value
