"""Two answers that a web framework does not have: no answer at all, and one that is made while it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from airflow_provider_afilnet.sandbox.store import ForgottenError

TRANSPORT: Final = "afilnet.transport"
"""Where the server puts the connection's transport into the ASGI scope, so that a fault can close it."""


class Dropped(Response):
    """No answer: the connection is closed without a byte."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[TRANSPORT].close()
        # The server would answer 500 if the application ended before it has noticed.
        while (await receive())["type"] != "http.disconnect":
            pass


class Streamed(Response):
    """An answer in parts that are made while they are sent. A reset of the sandbox breaks it off.

    ``parts``: what is still to be sent, to be read once.
    """

    def __init__(self, parts: Iterable[str], media_type: str) -> None:
        self.status_code = 200
        self.background = None
        self.media_type = media_type
        self.init_headers()
        self.parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            for part in self.parts:
                await send({"type": "http.response.body", "body": part.encode(), "more_body": True})
                # Sending to a quick reader never waits, and the other calls want their turn.
                await asyncio.sleep(0)
                if scope[TRANSPORT].is_closing():
                    raise ForgottenError
        except ForgottenError:
            await Dropped()(scope, receive, send)
        else:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
