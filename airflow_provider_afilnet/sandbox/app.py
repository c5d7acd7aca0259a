"""The sandbox as a Starlette application: addresses, sign-in, the common checks, and the faults on the way."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from itertools import chain, islice
from typing import Final

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from airflow_provider_afilnet.api.methods import METHODS
from airflow_provider_afilnet.sandbox import answers, oauth, soap
from airflow_provider_afilnet.sandbox.calls import Call
from airflow_provider_afilnet.sandbox.control import control_routes
from airflow_provider_afilnet.sandbox.faults import KINDS, Fault
from airflow_provider_afilnet.sandbox.forms import pairs, posted
from airflow_provider_afilnet.sandbox.oauth import NoSignInError
from airflow_provider_afilnet.sandbox.operations import (
    OPERATIONS,
    Operation,
    RefusedError,
    getcontact,
    getcontacts,
    parse_rows,
)
from airflow_provider_afilnet.sandbox.page import page_route
from airflow_provider_afilnet.sandbox.state import Account, State
from airflow_provider_afilnet.sandbox.store import ForgottenError
from airflow_provider_afilnet.sandbox.wire import TRANSPORT, Dropped, Streamed

__all__ = ["LONGEST_URL", "TRANSPORT", "Account", "State", "create_app"]

LONGEST_URL: Final = 4_000
"""Characters of a whole GET address; a longer one is answered with HTTP 414."""

_JSON = "application/json"
_HTML = "<!DOCTYPE html><html><head><title>Afilnet</title></head><body><h1>Maintenance</h1></body></html>"
# Above these sizes a call's body is read, and its rows are stored, beside the event loop.
_LONG_BODY_BYTES = 256 * 1024
_MANY_ROWS = 2_000
_PARTS_OF_A_GARBLED_READ = 20
_CLASSES = frozenset(method.api_class for method in METHODS.values())


class _StoppingError(Exception):
    """The sandbox ends while a call waits."""


def create_app(state: State) -> Starlette:
    """The application that serves ``state``."""

    async def http(request: Request) -> Response:
        return await _serve(state, request, basic=False)

    async def basic(request: Request) -> Response:
        return await _serve(state, request, basic=True)

    async def by_token(style: str, params: Mapping[str, str], sign_in: Callable[[], str]) -> Response:
        return await _carried_out(state, style, params, sign_in)

    async def by_soap(style: str, params: Mapping[str, str]) -> Response:
        pair = params.get("user"), params.get("password")
        return await _carried_out(state, style, params, lambda: _sign_in(state, pair, False))

    routes = [page_route(state), *control_routes(state), *oauth.routes(state, by_token), *soap.routes(state, by_soap)]
    for path, endpoint in (("/api/http", http), ("/api/basic", basic)):
        routes += [Route(path + end, endpoint, methods=["GET", "POST"]) for end in ("/", "")]
    application = Starlette(routes=routes, exception_handlers={RecursionError: _too_deep, ClientDisconnect: _gone})
    # Its redirects would go to whatever the Host header says.
    application.router.redirect_slashes = False
    return application


async def _too_deep(request: Request, error: Exception) -> Response:
    """A document that is nested deeper than anybody means."""
    return Response(status_code=400)


async def _gone(request: Request, error: Exception) -> Response:
    return Dropped()


async def _serve(state: State, request: Request, *, basic: bool) -> Response:
    is_get = request.method != "POST"
    style = ("basic-get" if is_get else "basic") if basic else ("get" if is_get else "post")
    try:
        params = pairs(request.scope["query_string"]) if is_get else await _posted(request)
    except ClientDisconnect:
        return Dropped()
    pair = _basic_pair(request) if basic else (params.get("user"), params.get("password"))
    too_long = is_get and len(str(request.url)) > LONGEST_URL
    return await _carried_out(state, style, params, lambda: _sign_in(state, pair, basic), too_long=too_long)


async def _carried_out(
    state: State, style: str, params: Mapping[str, str], sign_in: Callable[[], str], *, too_long: bool = False
) -> Response:
    """Log the call, carry it out and answer it. ``sign_in`` answers its user, or raises what is wrong with it."""
    call = state.log.arrived(params.get("method", ""), style, params)
    try:
        response = Response(status_code=414) if too_long else await _answer(state, call, sign_in(), params)
    except NoSignInError as refused:
        response = _refusal(state, call, refused.code, status=401)
        response.headers["WWW-Authenticate"] = refused.challenge
    except RefusedError as refused:
        response = _refusal(state, call, refused.code)
    except (_StoppingError, ForgottenError):
        response = Dropped()
    if not isinstance(response, Dropped):
        call.status = response.status_code
    return response


def _refusal(state: State, call: Call, code: str, *, status: int = 200) -> Response:
    call.error = code
    return Response(answers.error(code, state.dialect), status, media_type=_JSON)


# Parameters and sign-in


async def _posted(request: Request) -> dict[str, str]:
    """The parameters in the body. Those in the address do not count: a password does not belong there."""
    kind, body = request.headers.get("content-type", ""), await request.body()
    if len(body) > _LONG_BODY_BYTES:
        return await asyncio.to_thread(posted, kind, body)
    return posted(kind, body)


def _basic_pair(request: Request) -> tuple[str | None, str | None]:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    try:
        user, _, password = base64.b64decode(token.encode(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None, None
    return (user, password) if scheme.lower() == "basic" else (None, None)


def _sign_in(state: State, pair: tuple[str | None, str | None], basic: bool) -> str:
    """The user, when the password is the right one."""
    user, password = pair
    if not user or not password:
        missing = "MISSING_PASSWORD" if user else "MISSING_USER"
        raise NoSignInError(missing, 'Basic realm="Afilnet"') if basic else RefusedError(missing)
    account = state.accounts.get(user)
    if account is None or account.password != password:
        raise RefusedError("INCORRECT_USER_PASSWORD")
    return user


def _check(params: Mapping[str, str]) -> str:
    """The method, when class, method and every parameter are there."""
    api_class, name = params.get("class"), params.get("method")
    if not api_class:
        raise RefusedError("MISSING_CLASS")
    if api_class not in _CLASSES:
        raise RefusedError("INCORRECT_CLASS")
    if not name:
        raise RefusedError("MISSING_METHOD")
    if name not in METHODS or METHODS[name].api_class != api_class:
        raise RefusedError("INCORRECT_METHOD")
    if not all(params.get(param) for param in METHODS[name].params):
        raise RefusedError("MISSING_COMPULSORY_PARAM")
    return name


# The method and its faults


async def _answer(state: State, call: Call, user: str, params: Mapping[str, str]) -> Response:
    method = _check(params)
    if len(params.get("contacts", "")) > _LONG_BODY_BYTES:
        rows = await asyncio.to_thread(parse_rows, method, params)
    else:
        rows = parse_rows(method, params)
    keys = _added_keys(state, call, user, params, rows)
    met = state.faults.meeting(method, keys)
    for fault in met:
        if fault.kind == "latency":
            await _pause(state, fault)
    lost: set[str] = set().union(*(fault.detail["keys"] for fault in met if fault.kind == "lose_row"))
    operation = Operation(state.store, state.dialect, user, state.accounts[user].balance, params, rows, lost)
    ending = next((fault for fault in met if KINDS[fault.kind].ends), None)
    if ending is None:
        return _streamed(await _apply(call, operation, met))
    return await _faulty(state, call, operation, ending, met)


def _added_keys(
    state: State, call: Call, user: str, params: Mapping[str, str], rows: list[dict[str, str]] | None
) -> list[str]:
    """The keys of the rows that the call wants to add, which the log counts."""
    if call.method not in ("addcontact", "addcontactlist"):
        return []
    if call.method == "addcontactlist":
        call.params = {**call.params, "rows": len(rows or ())}
    group = state.store.group(params["idgroup"])
    if group is None or group.account != user:
        return []
    keys = [row.get(group.type, "") for row in rows or ()]
    state.log.received(group.id, keys)
    return keys


async def _apply(call: Call, operation: Operation, met: list[Fault]) -> Iterator[str]:
    """Carry the call out now; the body of the answer, in parts that are made while they are taken."""
    if call.method == "getcontacts":
        body = _contacts(operation, met)
    elif call.method == "getcontact":
        body = iter([getcontact(operation)])
    elif len(operation.rows or ()) > _MANY_ROWS:
        # Not in one transaction, so that the others get their turn at the store.
        result = await asyncio.to_thread(OPERATIONS[call.method], operation)
        body = iter([answers.success(result, operation.dialect)])
    else:
        with operation.store.transaction():
            body = iter([answers.success(OPERATIONS[call.method](operation), operation.dialect)])
    call.applied = True
    return body


def _contacts(operation: Operation, met: list[Fault]) -> Iterator[str]:
    """The contacts as the faults that lie about them let them be seen."""
    moment, limit, hidden = operation.store.now(), None, frozenset[str]()
    for fault in met:
        if fault.kind == "capped_read":
            limit = int(fault.detail["limit"])
        elif fault.kind == "hide":
            hidden |= fault.detail["keys"]
        elif fault.kind == "stale_read":
            seconds = fault.detail["seconds"]
            moment = fault.since if seconds is None else operation.store.seconds_ago(seconds)
    return getcontacts(operation, moment=moment, limit=limit, hidden=hidden)


def _streamed(body: Iterator[str]) -> Response:
    first, second = next(body), next(body, None)
    if second is None:
        return Response(first, media_type=_JSON)

    return Streamed(chain([first, second], body), _JSON)


async def _pause(state: State, fault: Fault) -> None:
    try:
        await asyncio.wait_for(state.stopping.wait(), fault.detail["seconds"])
    except TimeoutError:
        return
    raise _StoppingError


async def _faulty(state: State, call: Call, operation: Operation, fault: Fault, met: list[Fault]) -> Response:
    """The answer to a call whose outcome ``fault`` decides."""
    detail = fault.detail
    match fault.kind:
        case "late":
            # The server does not cancel a call whose client has gone.
            await _pause(state, fault)
            return _streamed(await _apply(call, operation, met))
        case "drop_before":
            return Dropped()
        case "drop_after":
            await _apply(call, operation, met)
            return Dropped()
        case "html":
            if detail["applied"]:
                await _apply(call, operation, met)
            return Response(_HTML, media_type="text/html")
        case "garbled":
            whole = answers.success(None, state.dialect)
            if detail["applied"]:
                whole = "".join(islice(await _apply(call, operation, met), _PARTS_OF_A_GARBLED_READ))
            return Response(whole[: len(whole) // 2], media_type=_JSON)
        case "null_read" | "absent_read":
            operation.group()
            call.applied = True
            result = None if fault.kind == "null_read" else answers.ABSENT
            return Response(answers.success(result, state.dialect), media_type=_JSON)
        case "redirect":
            return Response(status_code=307, headers={"Location": str(detail["location"])})
        case "http_500" | "rate_limited":
            wait = detail["retry_after"]
            if wait is None and fault.bucket is not None:
                wait = fault.bucket.seconds()
            headers = {} if wait is None else {"Retry-After": str(wait)}
            return Response(status_code=int(detail.get("status", 429)), headers=headers)
        case _:
            # error, refuse_row, too_large
            if detail.get("applied"):
                await _apply(call, operation, met)
            if detail["code"] is None:
                return Response(status_code=int(detail["status"]))
            raise RefusedError(str(detail["code"]))
