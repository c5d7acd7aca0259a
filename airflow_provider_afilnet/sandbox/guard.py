"""Keep web pages that somebody visits away from the sandbox's own addresses.

A page of a stranger can make its visitor's browser call this machine. It cannot send ``application/json`` without
asking first, which the sandbox never allows; and where it gave its own name this machine's address (DNS rebinding),
the ``Host`` header gives it away.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from airflow_provider_afilnet.sandbox.state import State
from airflow_provider_afilnet.sandbox.wire import Dropped

Endpoint = Callable[[Request], Awaitable[Response]]

_LONGEST_SENTENCE = 500


class WrongInputError(Exception):
    """The request cannot be carried out; the text says why in one sentence."""

    def __init__(self, sentence: str, *, status: int = 400) -> None:
        super().__init__(sentence if len(sentence) <= _LONGEST_SENTENCE else f"{sentence[:_LONGEST_SENTENCE]}…")
        self.status = status


def is_own_host(header: str, listens_on: str) -> bool:
    """Whether a ``Host`` header names this machine itself, or where the sandbox listens."""
    try:
        name = urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return False
    if name == "localhost" or name.endswith(".localhost") or name == listens_on.lower():
        return True
    try:
        address, bound = ipaddress.ip_address(name), ipaddress.ip_address(listens_on)
    except ValueError:
        return name.startswith("127.") and _is_loopback(name)
    # Who listens everywhere has many addresses; a rebound name is never a number.
    return address.is_loopback or bound.is_unspecified


def _is_loopback(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).is_loopback
    except ValueError:
        return False


def guarded(state: State, endpoint: Endpoint) -> Endpoint:
    """``endpoint`` for visitors of the sandbox itself; what is wrong with a request becomes one sentence in JSON."""

    async def answer(request: Request) -> Response:
        try:
            if not is_own_host(request.headers.get("host", ""), state.host):
                raise WrongInputError("The Host header does not name this sandbox; call it by its address.", status=403)
            kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if request.method in ("POST", "PUT") and kind != "application/json":
                raise WrongInputError("Send JSON with the header Content-Type: application/json.", status=415)
            return await endpoint(request)
        except WrongInputError as wrong:
            return JSONResponse({"error": str(wrong)}, wrong.status)
        except ClientDisconnect:
            return Dropped()

    return answer
