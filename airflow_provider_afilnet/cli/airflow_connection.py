"""An Airflow connection as a text, JSON or URI, as it stands in ``AIRFLOW_CONN_…``; read without Airflow."""

from __future__ import annotations

import json
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from airflow_provider_afilnet.api.errors import AfilnetConfigurationError

_FIELDS = {"conn_type", "host", "schema", "port", "login", "password", "extra", "description"}


class ConnectionFields(NamedTuple):
    """The fields of a connection, as :func:`~airflow_provider_afilnet.api.settings.read_settings` takes them."""

    host: str | None
    schema: str | None
    port: int | None
    login: str | None
    password: str | None
    extra: dict[str, Any]


def read_connection(text: str, name: str) -> ConnectionFields:
    """Read the text as Airflow reads it.

    :param name: what messages call the connection. They never show the text, which holds the password.
    :raises AfilnetConfigurationError: if it is neither JSON nor a URI of the connection type ``afilnet``.
    """
    text = text.strip()
    return _from_json(text, name) if text.startswith("{") else _from_uri(text, name)


def _from_json(text: str, name: str) -> ConnectionFields:
    try:
        fields = json.loads(text)
    except ValueError:
        raise AfilnetConfigurationError(f"{name} begins with {{ and is not valid JSON.") from None
    if unknown := sorted(set(fields) - _FIELDS):
        raise AfilnetConfigurationError(
            f"{name} has the unknown field {unknown[0]!r}; known are {', '.join(sorted(_FIELDS))}."
        )
    _check_type(fields.get("conn_type"), name)
    for field in ("host", "schema", "login", "password"):
        if not isinstance(fields.get(field), str | None):
            raise AfilnetConfigurationError(f"{name}: the field {field!r} must be text.")
    return ConnectionFields(
        fields.get("host"),
        fields.get("schema"),
        _port(fields.get("port"), name),
        fields.get("login"),
        fields.get("password"),
        read_extra(fields.get("extra"), f"{name}: the field 'extra'"),
    )


def _from_uri(text: str, name: str) -> ConnectionFields:
    try:
        parts = urlsplit(text)
        kind, rest = parts.scheme, text.partition("://")[2]
        # A host with a scheme of its own is written afilnet://http://user:password@host:port/.
        inner = urlsplit(rest if "://" in rest else f"//{rest}")
        protocol, port, hostname = inner.scheme, inner.port, unquote(inner.hostname or "")
        query = dict(parse_qsl(inner.query, keep_blank_values=True))
    except ValueError:
        raise AfilnetConfigurationError(f"{name} is no URI such as afilnet://user:password@host.") from None
    _check_type(kind, name)
    host = f"{protocol}://{hostname}" if protocol and hostname else hostname
    if "__extra__" in query:
        extra = read_extra(query["__extra__"], f"{name}: __extra__")
    else:
        extra = {key: _from_text(value) for key, value in query.items()}
    return ConnectionFields(
        host or None,
        unquote(inner.path.removeprefix("/")) or None,
        port,
        None if inner.username is None else unquote(inner.username),
        None if inner.password is None else unquote(inner.password),
        extra,
    )


def _from_text(value: str) -> Any:
    """A value of a query: numbers, truth values and objects are written as JSON, other texts as they are."""
    try:
        return json.loads(value)
    except ValueError:
        return value


def _check_type(kind: object, name: str) -> None:
    if kind != "afilnet":
        shown = repr(kind) if isinstance(kind, str) and kind.isidentifier() else "another one"
        raise AfilnetConfigurationError(f"{name} must be of the connection type 'afilnet', not {shown}.")


def _port(value: object, name: str) -> int | None:
    if value is None or value == "":
        return None
    try:
        return int(str(value))
    except ValueError:
        raise AfilnetConfigurationError(f"{name}: the port must be a number.") from None


def read_extra(value: object, what: str) -> dict[str, Any]:
    """Extras as an object, or as its JSON.

    :param what: what the error calls the value, which it does not show.
    """
    if isinstance(value, str) and value.strip():
        try:
            value = json.loads(value)
        except ValueError:
            value = []
    if value is None or value == "":
        return {}
    if not isinstance(value, dict):
        raise AfilnetConfigurationError(f'{what} must be a JSON object of extras such as {{"timeout": 30}}.')
    return value
