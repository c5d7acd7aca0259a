"""Calls whose answers are watched: shapes, codes, times, headers. Nothing that is kept here holds a value."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_afilnet.api.answers import shape
from airflow_provider_afilnet.api.client import AfilnetClient
from airflow_provider_afilnet.api.errors import (
    AfilnetAccessError,
    AfilnetError,
    AfilnetExistsError,
    AfilnetInvalidRequestError,
    AfilnetNotFoundError,
    AfilnetTooLargeError,
)

if TYPE_CHECKING:
    import requests

_TRIES: Final = 3
_LONGEST_PAUSE: Final = 30.0
_REFUSALS: Final = (AfilnetAccessError, AfilnetExistsError, AfilnetInvalidRequestError, AfilnetNotFoundError)
_HEADER: Final = re.compile(r"retry-after|.*rate-?limit.*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer: a result, or the code of a refusal.

    ``form`` is the result's shape: types and key names only.
    """

    result: Any = None
    code: str | None = None
    form: str = ""

    @property
    def ok(self) -> bool:
        """Whether it was a success."""
        return self.code is None

    def __str__(self) -> str:
        return f"success with {self.form}" if self.code is None else self.code


@dataclass
class Observer:
    """Calls a client and keeps what can be seen.

    ``forms``: method to the shapes and codes it answered, in order. ``seconds``: method to its times. ``headers``:
    names of headers about rate limits. ``words``: how status words were written.
    """

    client: AfilnetClient
    forms: dict[str, list[str]] = field(default_factory=dict)
    seconds: dict[str, list[float]] = field(default_factory=dict)
    headers: set[str] = field(default_factory=set)
    words: set[str] = field(default_factory=set)
    calls: int = 0
    _asking: bool = False
    _absent: bool = False
    _last: float = 0.0
    _sleep: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        self.client.session().hooks["response"].append(self._look)

    def ask(self, name: str, /, **params: object) -> Reply:
        """Make one call; passing errors are waited for, as long as a repeat does no harm.

        :return: the answer, also where the API refused it with a code.
        :raises AfilnetError: for anything that is neither: no answer, an unknown form, a refused sign-in.
        """
        for left in reversed(range(_TRIES)):
            try:
                return self.once(name, **params)
            except AfilnetError as error:
                if not error.retryable or not left:
                    raise
                pause = 2.0 ** (_TRIES - 1 - left) if error.retry_after is None else error.retry_after
                self._sleep(min(pause, _LONGEST_PAUSE))
        raise AssertionError("the last try returns or raises")

    def once(self, name: str, /, **params: object) -> Reply:
        """The same without a second try."""
        rate = self.client.settings.max_requests_per_second
        if rate:
            self._sleep(max(0.0, self._last + 1 / rate - time.monotonic()))
        self._last = started = time.monotonic()
        self._absent = False
        self._asking = True
        self.calls += 1
        try:
            result = self.client.call(name, **params)
        except _REFUSALS as error:
            reply = Reply(code=_told(error))
        else:
            reply = Reply(result, form="no result" if self._absent else shape(result))
        finally:
            self._asking = False
        self.seconds.setdefault(name, []).append(time.monotonic() - started)
        seen = self.forms.setdefault(name, [])
        if str(reply) not in seen:
            seen.append(str(reply))
        return reply

    def _look(self, response: requests.Response, **_: object) -> None:
        """What the client does not hand out: headers, the case of words, whether ``result`` was there at all."""
        self.headers.update(name for name in response.headers if _HEADER.fullmatch(name))
        if not self._asking:
            return  # it is streamed, and may be longer than the memory
        try:
            body = json.loads(response.content.decode("utf-8-sig"))
        except (ValueError, RecursionError):
            return
        if isinstance(body, dict):
            names = {name.lower(): value for name, value in body.items()}
            self._absent = "result" not in names
            word = names.get("status")
            if isinstance(word, str) and word.isalpha() and len(word) < 20:
                self.words.add(word)

    def milliseconds(self) -> dict[str, int]:
        """Method to the median of its times."""
        return {name: round(median(times) * 1000) for name, times in self.seconds.items()}


def _told(error: AfilnetError) -> str:
    if error.code:
        return error.code
    if isinstance(error, AfilnetTooLargeError) and error.http_status is None:
        return "longer than a GET request may be"
    return f"HTTP {error.http_status}" if error.http_status not in (None, 200) else "an unlisted code"
