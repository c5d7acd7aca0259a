"""OAuth 2.0 at the sandbox: the token endpoint ``/oauth/token`` (RFC 6749), and the JSON calls at ``/api/json/``.

An OAuth client belongs to an account, and a token stands for its user. What the documents leave open is in the dialect:
``oauth_client`` and ``oauth_life``.
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_plus

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from airflow_provider_afilnet.sandbox.forms import posted
from airflow_provider_afilnet.sandbox.operations import RefusedError

if TYPE_CHECKING:
    from airflow_provider_afilnet.sandbox.state import State

SignIn = Callable[[], str]
Serve = Callable[[str, Mapping[str, str], SignIn], Awaitable[Response]]
"""Answers a call, given its style, its parameters, and what tells its user, as the address ``/api/http/`` would."""


class NoSignInError(RefusedError):
    """A call without what its address signs in with; ``challenge`` is the HTTP header that says what is wanted."""

    def __init__(self, code: str, challenge: str) -> None:
        super().__init__(code)
        self.challenge = challenge


class Tokens:
    """The OAuth clients and the tokens of one sandbox. Any thread may call it.

    ``life``: seconds that a new token lives. ``asked``: how many requests for a token came.
    """

    def __init__(self) -> None:
        self.life = 3600.0
        self.asked = 0
        self.clients: dict[str, tuple[str, str]] = {}
        self._lock = threading.Lock()
        self._tokens: dict[str, tuple[str, float]] = {}

    def give(self, user: str) -> str:
        """A new token of ``user``."""
        token = secrets.token_urlsafe(24)
        with self._lock:
            self._tokens[token] = (user, time.monotonic() + self.life)
        return token

    def user(self, token: str) -> str | None:
        """Whose token it is; None if there is no such token, or it has expired."""
        with self._lock:
            user, end = self._tokens.get(token, (None, 0.0))
        return user if time.monotonic() < end else None

    def expire(self) -> None:
        """No token that was given counts any longer."""
        with self._lock:
            self._tokens.clear()


def routes(state: State, serve: Serve) -> list[Route]:
    """The token endpoint and the address of the JSON calls."""

    async def token(request: Request) -> Response:
        state.tokens.asked += 1
        try:
            form = posted(request.headers.get("content-type", ""), await request.body())
        except ClientDisconnect:
            return Response(status_code=400)
        return _token(state, request.headers.get("authorization", ""), form)

    async def call(request: Request) -> Response:
        try:
            params = _params(await request.body())
        except ClientDisconnect:
            return Response(status_code=400)
        return await serve("json", params, lambda: _bearer(state, request))

    listed = [Route("/api/json" + end, call, methods=["POST"]) for end in ("/", "")]
    return [Route("/oauth/token", token, methods=["POST"]), *listed]


# The token endpoint


_STATUS: Final = {"invalid_client": 401}


def _token(state: State, header: str, form: Mapping[str, str]) -> Response:
    grant = form.get("grant_type")
    try:
        owner = _client_owner(state, header, form)
        if grant == "client_credentials":
            if owner is None:
                raise _NoTokenError("invalid_client")
            user = owner
        elif grant == "password":
            user = form.get("username", "")
            account = state.accounts.get(user)
            if account is None or account.password != form.get("password") or owner not in (None, user):
                raise _NoTokenError("invalid_grant")
        else:
            raise _NoTokenError("unsupported_grant_type" if grant else "invalid_request")
    except _NoTokenError as refused:
        return JSONResponse({"error": refused.error}, _STATUS.get(refused.error, 400), headers=_UNCACHED)
    lives: dict[str, dict[str, Any]] = {
        "number": {"expires_in": int(state.tokens.life)},
        "text": {"expires_in": str(int(state.tokens.life))},
        "absent": {},
    }
    life = lives[state.dialect.oauth_life]
    scope = {"scope": form["scope"]} if "scope" in form else {}
    given = {"access_token": state.tokens.give(user), "token_type": "Bearer", **life, **scope}
    return JSONResponse(given, headers=_UNCACHED)


_UNCACHED: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class _NoTokenError(Exception):
    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error


def _client_owner(state: State, header: str, form: Mapping[str, str]) -> str | None:
    """The user whose client asks; None if none is named."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() == "basic" and state.dialect.oauth_client != "body":
        try:
            name, _, secret = base64.b64decode(encoded.encode(), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise _NoTokenError("invalid_client") from None
        name, secret = unquote_plus(name), unquote_plus(secret)
    elif "client_id" in form and state.dialect.oauth_client != "header":
        name, secret = form["client_id"], form.get("client_secret", "")
    elif header or "client_id" in form:
        raise _NoTokenError("invalid_client")
    else:
        return None
    known, user = state.tokens.clients.get(name, ("", ""))
    if not known or not secrets.compare_digest(known.encode(), secret.encode()):
        raise _NoTokenError("invalid_client")
    return user


# A call


def _params(body: bytes) -> dict[str, str]:
    """The parameters of a JSON body as texts; none if it is no object that could be stored."""
    try:
        found = json.loads(body)
        # Half a surrogate pair is no text, and SQLite refuses it.
        json.dumps(found, ensure_ascii=False).encode()
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in found.items()}


def _bearer(state: State, request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    user = state.tokens.user(token) if scheme.lower() == "bearer" else None
    if user is None or user not in state.accounts:
        wrong = ', error="invalid_token"' if token else ""
        raise NoSignInError("INCORRECT_USER_PASSWORD" if token else "MISSING_USER", f'Bearer realm="Afilnet"{wrong}')
    return user
