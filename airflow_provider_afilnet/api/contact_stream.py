"""Read a ``getcontacts`` answer as it arrives, in constant memory, in every form that the contract lists.

Contacts are handed out while the body is still coming, but none of them counts before :meth:`ContactStream.close` has
seen the document end with a status of success.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from typing import TYPE_CHECKING, Any, Final

import ijson

from airflow_provider_afilnet.api.answers import (
    ContactRecord,
    UnknownFormError,
    check_status,
    read_record,
    unreadable,
)
from airflow_provider_afilnet.api.contact_slices import ContactSlicer, ContactTable, tables_of
from airflow_provider_afilnet.api.errors import AfilnetUnprovenReadError
from airflow_provider_afilnet.api.methods import METHODS

if TYPE_CHECKING:
    from airflow_provider_afilnet.api.soap import SoapAnswer

_METHOD = METHODS["getcontacts"]
_HEAD: Final = re.compile(rb'\s*\{\s*(?:"status"\s*:\s*"\w*"\s*,\s*)?"result"\s*:\s*\[')
_HEAD_LENGTH: Final = 128
_SLICE: Final = 65536


class ContactStream:
    """Push parser of one answer: :meth:`feed` it bytes, then :meth:`close` it.

    :param envelope: what takes the JSON out of the bytes first, where they are SOAP.
    """

    def __init__(self, envelope: SoapAnswer | None = None) -> None:
        self._envelope = envelope
        self._ready: list[ContactRecord] = []
        self._status: object = None
        self._error: object = None
        self._form = "absent"
        self._head: bytes | None = b""
        self._slicer: ContactSlicer | None = None
        self._parser: Any = ijson.basic_parse_coro(_events(self))

    def feed(self, chunk: bytes) -> list[ContactTable]:
        """Parse the next bytes.

        :return: the contacts that became complete.
        :raises AfilnetUnreadableAnswerError: if the bytes are no JSON, or a contact has an unknown form.
        """
        if self._envelope is not None:
            chunk = self._envelope.feed(chunk)
        if self._head is not None:
            self._head += chunk
            if len(self._head) < _HEAD_LENGTH:
                return []
            chunk = self._begin()
        return self._parse(chunk)

    def _begin(self) -> bytes:
        """Look at the head, which may come in pieces: does a list of contacts begin in it?

        :return: what comes behind it.
        """
        # PHP files saved on Windows send a byte order mark before their answer.
        head, self._head = (self._head or b"").removeprefix(BOM_UTF8), None
        if list_begins := _HEAD.match(head):
            self._parser.send(head[: list_begins.end()])
            self._slicer = ContactSlicer(_SLICE)
            head = head[list_begins.end() :]
        return head

    def _parse(self, chunk: bytes, *, last: bool = False) -> list[ContactTable]:
        found: list[ContactTable] = []
        try:
            if self._slicer is not None:
                found = self._slicer.feed(chunk)
                if not self._slicer.ended and not last:
                    return found
                # What follows the list, and contacts of another form, is left to the parser.
                chunk, self._slicer = self._slicer.rest(), None
            if chunk:  # to the parser an empty chunk would mean that the document ends here
                self._parser.send(chunk)
        except UnknownFormError as error:
            raise unreadable(_METHOD, error.args[0], http_status=200) from None
        # ArithmeticError: a number with an exponent that no decimal can hold.
        except (ijson.JSONError, ValueError, ArithmeticError):
            raise unreadable(_METHOD, "something that is not JSON", http_status=200, passing=True) from None
        ready, self._ready = self._ready, []
        return found + tables_of(iter(ready))

    def close(self) -> list[ContactTable]:
        """End the answer; returning means that it was whole and a success.

        :return: the last contacts.
        :raises AfilnetUnprovenReadError: if ``result`` was absent or null, which is no proof of an empty group.
        :raises AfilnetError: the typed error the answer stands for, or one for a body that broke off.
        """
        if self._envelope is not None:
            self._envelope.close()
        rest = b"" if self._head is None or BOM_UTF8.startswith(self._head) else self._begin()
        last = self._parse(rest, last=True)
        try:
            self._parser.close()
        except (ijson.JSONError, ValueError, ArithmeticError):
            raise unreadable(_METHOD, "a body that broke off", http_status=200, passing=True) from None
        check_status(_METHOD, self._status, self._error)
        if self._form in ("absent", "null"):
            raise AfilnetUnprovenReadError(
                f"getcontacts answered success with its result {self._form}, which is no proof of an empty group.",
                method=_METHOD.name,
                http_status=200,
            )
        if self._form not in ("list", "keyed"):
            raise unreadable(_METHOD, self._form, http_status=200)
        return last


@ijson.utils.coroutine  # type: ignore[untyped-decorator]
def _events(stream: ContactStream) -> Any:
    """Walk the document: the envelope here, its ``result`` in :func:`_contacts`, anything else skipped."""
    event, _ = yield
    if event != "start_map":
        raise UnknownFormError("no object at the top")
    while True:
        event, name = yield
        if event == "end_map":
            break
        name = name.lower()
        event, value = yield
        if name == "result" and event in ("start_array", "start_map"):
            stream._form = "list" if event == "start_array" else "keyed"
            yield from _contacts(stream, keyed=event == "start_map")
        elif event in ("start_array", "start_map"):
            yield from _skip()
        elif name == "result":
            stream._form = "null" if value is None else event
        elif name == "status":
            stream._status = value
        elif name == "error":
            stream._error = value
    while True:
        yield


def _contacts(stream: ContactStream, *, keyed: bool) -> Any:
    """The contacts of ``result``: items of a list, or values of an object keyed by contact id."""
    key: str | None = None
    while True:
        event, value = yield
        if event in ("end_array", "end_map"):
            return
        if keyed:
            key = value
            event, value = yield
        if event != "start_map":
            kinds = {"start_array": "list", "string": "text"}
            raise UnknownFormError(f"{'an object' if keyed else 'a list'} of {kinds.get(event, event)}")
        found = yield from _object(depth=2)
        stream._ready.append(read_record(found, key))


def _object(depth: int) -> Any:
    """One JSON object; nested ones (``fields``) to the given depth."""
    found: dict[str, Any] = {}
    while True:
        event, value = yield
        if event == "end_map":
            return found
        name = value
        event, value = yield
        if event == "start_map":
            if depth == 1:
                raise UnknownFormError("objects nested too deeply")
            value = yield from _object(depth - 1)
        elif event == "start_array":
            event, _ = yield
            if event != "end_array":
                where = name if name.isascii() and name.isalpha() else "a key"
                raise UnknownFormError(f"a list inside a contact, under {where}")
            value = []
        found[name] = value


def _skip() -> Any:
    """Whatever the envelope holds besides: read past it."""
    depth = 1
    while depth:
        event, _ = yield
        if event in ("start_map", "start_array"):
            depth += 1
        elif event in ("end_map", "end_array"):
            depth -= 1
