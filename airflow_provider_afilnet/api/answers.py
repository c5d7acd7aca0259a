"""Read an answer: HTTP status, headers and body in, a result or a typed error out. Pure functions.

The service answers ``{"status": "SUCCESS", "result": …}`` or ``{"status": "ERROR", "error": "CODE"}`` with HTTP 200
either way; words are compared without case. What stands under ``result`` is documented for no method, so every form
that is plausible is read (contract: answers), and any other is an error that shows its shape and never its values.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from airflow_provider_afilnet.api.errors import (
    AfilnetAccessError,
    AfilnetConfigurationError,
    AfilnetConnectionError,
    AfilnetCredentialsError,
    AfilnetError,
    AfilnetExistsError,
    AfilnetInvalidRequestError,
    AfilnetNotFoundError,
    AfilnetOutcomeUnknownError,
    AfilnetRateLimitedError,
    AfilnetServerError,
    AfilnetTooLargeError,
    AfilnetUnreadableAnswerError,
)
from airflow_provider_afilnet.api.methods import METHODS, Method

_REPORT: Final = (
    "please report this shape, which holds no personal data, to the maintainers of airflow-provider-afilnet"
)

_CODES: Final[dict[str, tuple[type[AfilnetError], str]]] = {
    "MISSING_USER": (AfilnetCredentialsError, "no user arrived; set the connection's login"),
    "MISSING_PASSWORD": (AfilnetCredentialsError, "no password arrived; set the connection's password"),
    "INCORRECT_USER_PASSWORD": (AfilnetCredentialsError, "user or password are wrong; check the connection"),
    "MISSING_CLASS": (AfilnetInvalidRequestError, "the class did not arrive; is the host an Afilnet API?"),
    "MISSING_METHOD": (AfilnetInvalidRequestError, "the method did not arrive; is the host an Afilnet API?"),
    "MISSING_COMPULSORY_PARAM": (AfilnetInvalidRequestError, "a mandatory parameter did not arrive"),
    "INCORRECT_CLASS": (AfilnetInvalidRequestError, "the service does not know the class"),
    "INCORRECT_METHOD": (AfilnetInvalidRequestError, "the service does not know the method"),
    "INCORRECT_TYPE": (AfilnetInvalidRequestError, "the group type must be 'mobile' or 'email'"),
    "MISSING_MAIN_FIELD": (AfilnetInvalidRequestError, "the group's key field ('mobile' or 'email') is missing"),
    "NOT_ACCESS_TO_GROUP": (AfilnetAccessError, "the group does not exist, or this account has no access to it"),
    "NOT_ACCESS_TO_CONTACT": (AfilnetNotFoundError, "the contact is not in this group"),
    "COUNTRY_NOT_FOUND": (AfilnetNotFoundError, "the service does not know the country"),
    "CONTACT_EXISTS": (AfilnetExistsError, "a contact with this key is in the group already"),
}


def shape(value: object) -> str:
    """Describe a value by types and key names only, such as ``list of object with keys idcontact, mobile``."""
    if isinstance(value, Mapping):
        if not value:
            return "empty object"
        names = sorted({key if _NAME.fullmatch(str(key)) else "<other>" for key in value})
        kinds = sorted({_kind(item) for item in value.values()})
        return f"object with keys {', '.join(names[:12])} and values of type {', '.join(kinds)}"
    if isinstance(value, list):
        return f"list of {shape(value[0])}" if value else "empty list"
    return _kind(value)


# A name with a blank might be a person's.
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z_-]{0,39}")


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    return {str: "text", int: "number", float: "number", list: "list", dict: "object"}.get(type(value), "number")


def unreadable(method: Method, found: str, *, http_status: int | None = None, passing: bool = False) -> AfilnetError:
    """The error for an answer of unknown form: for a writing method the outcome is unknown.

    :param passing: such an answer is likely to pass (a proxy's HTML page, a body that broke off).
    """
    if method.writes:
        return AfilnetOutcomeUnknownError(
            f"{method.name} answered {found}, so it may have been applied or not.",
            method=method.name,
            http_status=http_status,
            retryable=method.repeatable,
        )
    advice = "this may pass" if passing else _REPORT
    return AfilnetUnreadableAnswerError(
        f"{method.name} answered {found}, which is not known; {advice}.",
        method=method.name,
        http_status=http_status,
        retryable=passing,
    )


def lost(method: Method, why: str) -> AfilnetError:
    """The error for a call that was sent and got no whole answer.

    :param why: what was seen, such as ``the connection was closed``.
    """
    if method.writes:
        return AfilnetOutcomeUnknownError(
            f"{method.name} was sent but {why} before an answer came, so it may have been applied or not.",
            method=method.name,
            retryable=method.repeatable,
        )
    return AfilnetConnectionError(f"{method.name}: {why} before the answer was complete.", method=method.name)


def not_sent(
    method: Method,
    why: str,
    *,
    retryable: bool = True,
    retry_after: float | None = None,
    http_status: int | None = None,
) -> AfilnetError:
    """The error for a call that never reached the server.

    :param why: what was seen, with the way out.
    """
    return AfilnetConnectionError(
        f"{method.name} was not sent: {why}.",
        method=method.name,
        http_status=http_status,
        retryable=retryable,
        retry_after=retry_after,
    )


def not_prepared(method: Method, what: str, field: str, http_status: int, headers: Mapping[str, str]) -> AfilnetError:
    """The error for a token or a WSDL that was refused, so that the call itself was not sent.

    :param what: what was asked for, such as ``the token endpoint``.
    :param field: the connection's extra that names its address.
    """
    answered = f"{what} answered HTTP {http_status}"
    if http_status == 429:
        return AfilnetRateLimitedError(
            f"{method.name} was not sent: {answered}.",
            method=method.name,
            http_status=http_status,
            retry_after=read_retry_after(headers),
        )
    if http_status >= 500 or http_status in (408, 425):
        wait = read_retry_after(headers)
        return not_sent(method, answered, retry_after=wait, http_status=http_status)
    hint = "; redirects are not followed" if 300 <= http_status < 400 else ""
    return AfilnetConfigurationError(
        f"{method.name} was not sent: {answered}{hint}; check the connection's extra {field!r}.",
        method=method.name,
        http_status=http_status,
    )


def read_answer(method: Method, http_status: int, headers: Mapping[str, str], body: bytes) -> Any:
    """Read one whole answer.

    :param headers: response headers; looked up as the HTTP library does, without case.
    :return: what stands under ``result``: ``None`` if it is absent or null.
    :raises AfilnetError: the typed error that the answer stands for.
    """
    envelope = _envelope(body)
    if http_status != 200:
        if envelope is not None and _names_known_code(envelope):
            raise code_error(method, envelope["error"], http_status=http_status)
        raise http_error(method, http_status, headers)
    if envelope is None:
        raise unreadable(method, not_json(headers), http_status=http_status, passing=True)
    check_status(method, envelope.get("status"), envelope.get("error"), http_status=http_status)
    return envelope.get("result")


def _envelope(body: bytes) -> dict[str, Any] | None:
    """The answer's object with its keys in lower case; numbers are kept as their text."""
    try:
        parsed = json.loads(body.decode("utf-8-sig"), parse_float=_Number, parse_int=_Number)
    except (ValueError, RecursionError):
        return None
    return {str(key).lower(): value for key, value in parsed.items()} if isinstance(parsed, dict) else None


class _Number(str):
    """A JSON number as it was written: ``007`` cannot occur, ``1.10`` stays ``1.10``."""

    __slots__ = ()


def _names_known_code(envelope: Mapping[str, Any]) -> bool:
    return is_known_code(envelope.get("error"))


def is_known_code(code: object) -> bool:
    """Whether this is one of the documented error codes."""
    return isinstance(code, str) and code.strip().upper() in _CODES


def not_json(headers: Mapping[str, str]) -> str:
    kind = headers.get("Content-Type", "").split(";")[0].strip().lower()
    return "an HTML page" if kind == "text/html" else "something that is not a JSON object"


def check_status(method: Method, status: object, error: object, *, http_status: int = 200) -> None:
    """Return if the envelope says success; raise the typed error otherwise."""
    word = status.strip().upper() if isinstance(status, str) else None
    if word == "SUCCESS":
        return
    if word != "ERROR":
        raise unreadable(method, f"a status of {_kind(status)} that is neither success nor error")
    raise code_error(method, error if isinstance(error, str) else None, http_status=http_status)


def code_error(method: Method, code: str | None, *, http_status: int = 200) -> AfilnetError:
    """The typed error for one of Afilnet's codes; an unknown code is an invalid request that shows it."""
    code = (code or "").strip().upper() or None
    kind, meaning = _CODES.get(code or "", (AfilnetInvalidRequestError, "the service refused it"))
    shown = code or "no code"
    # An unknown code is the server's text: kept only where it looks like a code, since it might quote a value.
    if code is not None and not re.fullmatch(r"[A-Z][A-Z_]{1,60}", code):
        code, shown = None, "an unlisted code"
    return kind(
        f"{method.name} was refused with {shown}: {meaning}.",
        code=code,
        method=method.name,
        http_status=http_status,
    )


def http_error(method: Method, http_status: int, headers: Mapping[str, str]) -> AfilnetError:
    """The typed error for an HTTP status other than 200 whose body names no known code."""
    name = method.name
    if 300 <= http_status < 400:
        try:
            target = urlsplit(headers.get("Location", ""))
        except ValueError:
            target = urlsplit("")
        where = f" to {target.scheme}://{target.hostname}" if target.hostname else ""
        return AfilnetConfigurationError(
            f"{name} was redirected{where} (HTTP {http_status}); redirects are not followed, because a repeated POST "
            "could write twice: set the connection's host (or 'wsdl_url', 'json_url') to the final address.",
            method=name,
            http_status=http_status,
        )
    if http_status == 401:
        return AfilnetCredentialsError(
            f"{name}: the server refused the sign-in (HTTP 401); check the connection's login and password, or the "
            "OAuth client.",
            method=name,
            http_status=401,
        )
    if http_status == 403:
        return AfilnetAccessError(f"{name}: the server forbids it (HTTP 403).", method=name, http_status=403)
    if http_status in (413, 414):
        return AfilnetTooLargeError(
            f"{name}: the request is too large for the server (HTTP {http_status}).",
            method=name,
            http_status=http_status,
        )
    retry_after = read_retry_after(headers)
    pause = f"; it asks to wait {retry_after:g} s" if retry_after is not None else ""
    if http_status == 429:
        return AfilnetRateLimitedError(
            f"{name}: too many requests (HTTP 429){pause}.", method=name, http_status=429, retry_after=retry_after
        )
    if http_status >= 500 or http_status in (408, 425):
        if method.writes:
            return AfilnetOutcomeUnknownError(
                f"{name}: the server failed (HTTP {http_status}), so it may have been applied or not{pause}.",
                method=name,
                http_status=http_status,
                retryable=method.repeatable,
                retry_after=retry_after,
            )
        return AfilnetServerError(
            f"{name}: the server failed (HTTP {http_status}){pause}.",
            method=name,
            http_status=http_status,
            retry_after=retry_after,
        )
    if 200 < http_status < 300:
        return unreadable(method, f"HTTP {http_status} without a readable body", http_status=http_status)
    return AfilnetInvalidRequestError(
        f"{name} was refused with HTTP {http_status}; is the connection's host an Afilnet API?",
        method=name,
        http_status=http_status,
    )


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of ``Retry-After``, given as a number or as a date; ``None`` if absent or unreadable."""
    text = headers.get("Retry-After", "").strip()
    if not text:
        return None
    if re.fullmatch(r"\d{1,9}(\.\d+)?", text):
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        return None
    from datetime import datetime

    return max(0.0, (moment - datetime.now(moment.tzinfo)).total_seconds())


# --- results ---------------------------------------------------------------------------------------------------------


class ContactRecord(NamedTuple):
    """A contact as read: its id (``None`` where the answer has none) and field name to value."""

    id: str | None
    fields: dict[str, str]

    def as_dict(self) -> dict[str, str]:
        """The form that hook and operators hand out: the fields, and the id under ``idcontact``."""
        return dict(self.fields) if self.id is None else {"idcontact": self.id, **self.fields}


ID_NAMES: Final = ("idcontact", "id")


class UnknownFormError(ValueError):
    """A contact has a form that is not known; ``args[0]`` is its shape."""


def read_record(value: Mapping[str, Any], key: str | None = None) -> ContactRecord:
    """Read one contact: fields beside the id, or under ``fields``.

    :param key: the key under which the contact stood, where the answer is an object keyed by id.
    :raises UnknownFormError: if a value is neither text, number, boolean nor null.
    """
    names = {name.lower(): name for name in value}
    id_name = next((names[name] for name in ID_NAMES if name in names), None)
    nested = value[names["fields"]] if "fields" in names else ()
    # A null beside other fields is the value of a column that happens to be called "fields".
    if isinstance(nested, Mapping) or nested == [] or (nested is None and set(names) <= {"fields", *ID_NAMES}):
        fields = dict(nested or {})
        found = value[id_name] if id_name is not None else key
    elif id_name is not None and (key is None or id_name.lower() == "idcontact"):
        fields = {name: item for name, item in value.items() if name != id_name}
        found = value[id_name]
    else:
        fields = dict(value)
        found = key
    texts: dict[str, str] = {}
    for name, item in fields.items():
        text = _scalar_text(item)
        if text is None:
            raise UnknownFormError(shape(value))
        texts[name] = text
    if found is None:
        return ContactRecord(None, texts)
    record_id = _scalar_text(found)
    if not record_id:
        raise UnknownFormError(shape(value))
    return ContactRecord(record_id, texts)


def _scalar_text(value: object) -> str | None:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return str(value)
    return None if isinstance(value, (list, dict)) else str(value)


def read_contact(result: object, contact_id: str) -> ContactRecord:
    """Read ``getcontact``: one contact as an object, in a list of one, or in an object keyed by its id."""
    method = METHODS["getcontact"]
    found: object = result
    key: str | None = None
    if isinstance(found, list) and len(found) == 1:
        found = found[0]
    if isinstance(found, dict) and list(found) == [contact_id] and isinstance(found[contact_id], dict):
        key, found = contact_id, found[contact_id]
    if not isinstance(found, dict) or not found:
        raise unreadable(method, shape(result))
    try:
        return read_record(found, key)
    except UnknownFormError as error:
        raise unreadable(method, error.args[0]) from None


_COLUMN_NAMES: Final = ("name", "field", "column")


def read_columns(result: object) -> list[str]:
    """Read ``getgroupcolumns``: names, objects, an object keyed by name or position, or one comma-separated text."""
    method = METHODS["getgroupcolumns"]
    columns: list[str] = []
    if isinstance(result, str) and not isinstance(result, _Number):
        columns = [part.strip() for part in result.split(",")]
    elif isinstance(result, list):
        columns = [_column_name(item, method, result) for item in result]
    elif isinstance(result, dict) and all(str(key).isdecimal() for key in result):
        columns = [_column_name(item, method, result) for item in result.values()]
    elif isinstance(result, dict) and not any(isinstance(item, list) for item in result.values()):
        columns = [str(key) for key in result]
    else:
        raise unreadable(method, shape(result))
    if not columns or not all(columns) or len({name.lower() for name in columns}) != len(columns):
        raise unreadable(method, f"{shape(result)} with blank, repeated or no names")
    return columns


def _column_name(item: object, method: Method, whole: object) -> str:
    if isinstance(item, str):
        return item.strip()
    if isinstance(item, dict):
        by_name = {str(name).lower(): value for name, value in item.items()}
        for name in _COLUMN_NAMES:
            if isinstance(by_name.get(name), str):
                return str(by_name[name]).strip()
    raise unreadable(method, shape(whole))


def read_new_id(result: object, *names: str) -> str | None:
    """Read the id that ``creategroup`` or ``addcontact`` may answer; ``None`` if there is none. 0 is no id.

    :param names: key names of the id in an object, such as ``idgroup``.
    """
    if isinstance(result, list) and len(result) == 1:
        result = result[0]
    if isinstance(result, dict):
        by_name = {str(name).lower(): value for name, value in result.items()}
        result = next((by_name[name] for name in (*names, "id") if name in by_name), None)
    if isinstance(result, str) and re.fullmatch(r"(?!0+$)[A-Za-z-]*\d[\w-]*", result.strip()):
        return result.strip()
    return None


def read_balance(result: object) -> float:
    """Read ``getbalance``: a number, maybe as text, in a list of one, or in an object under ``balance``."""
    whole = result
    if isinstance(result, list) and len(result) == 1:
        result = result[0]
    if isinstance(result, dict):
        by_name = {str(name).lower(): value for name, value in result.items()}
        result = next((by_name[name] for name in ("balance", "credits", "credit") if name in by_name), None)
    if isinstance(result, str) and re.fullmatch(r"\s*[+-]?\d+(\.\d+)?([eE][+-]?\d+)?\s*", result, re.ASCII):
        return float(result)
    raise unreadable(METHODS["getbalance"], shape(whole))


@dataclass(frozen=True, slots=True)
class BulkAnswer:
    """What ``addcontactlist`` reported: counts by name, if it reported any."""

    counts: dict[str, int]


def read_bulk(result: object) -> BulkAnswer:
    """Read the counts that ``addcontactlist`` may answer; any other form is accepted and says nothing."""
    if isinstance(result, dict):
        counts = {str(k): int(v) for k, v in result.items() if _NAME.fullmatch(str(k)) and _is_count(v)}
        return BulkAnswer(counts)
    if _is_count(result):
        return BulkAnswer({"reported": int(str(result))})
    if isinstance(result, list) and result:
        return BulkAnswer({"reported": len(result)})
    return BulkAnswer({})


def _is_count(value: object) -> bool:
    return isinstance(value, str) and value.isdecimal() and len(value) < 10
