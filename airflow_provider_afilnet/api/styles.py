"""The ways to put a call on the wire. Pure functions: settings and a call in, a request out."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from urllib.parse import urlencode

from airflow_provider_afilnet import __version__
from airflow_provider_afilnet.api.calls import Call
from airflow_provider_afilnet.api.errors import AfilnetTooLargeError
from airflow_provider_afilnet.api.settings import ClientSettings

GET_LIMIT = 4000
"""Longest GET request in characters, as the vendor's documents say (contract: ways to call it)."""

_USER_AGENT = f"airflow-provider-afilnet/{__version__}"


@dataclass(frozen=True, slots=True)
class WireRequest:
    """An HTTP request, complete. It may hold the password and people, so ``repr`` shows only the verb."""

    verb: str
    url: str = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)


def put_on_wire(settings: ClientSettings, call: Call) -> WireRequest:
    """Write the call in the style of the settings.

    ``post`` and ``get`` carry user and password among the parameters, ``basic`` and ``basic-get`` in the header.

    :raises AfilnetTooLargeError: if a GET request would be longer than :data:`GET_LIMIT`.
    """
    params = {"class": call.method.api_class, "method": call.method.name}
    headers = {"Accept": "application/json", "User-Agent": _USER_AGENT}
    if settings.style in ("basic", "basic-get"):
        path = "/api/basic/"
        pair = f"{settings.user}:{settings.password}".encode()
        headers["Authorization"] = "Basic " + base64.b64encode(pair).decode("ascii")
    else:
        path = "/api/http/"
        params |= {"user": settings.user, "password": settings.password}
    encoded = urlencode({**params, **call.params})
    url = settings.base_url + path
    if settings.style in ("get", "basic-get"):
        url = f"{url}?{encoded}"
        if len(url) > GET_LIMIT:
            raise AfilnetTooLargeError(
                f"{call.method.name} makes a GET request of {len(url)} characters, above the API's limit of "
                f"{GET_LIMIT}; set the connection's api_style to 'post' (or 'basic').",
                method=call.method.name,
            )
        return WireRequest("GET", url, headers, None)
    headers["Content-Type"] = "application/x-www-form-urlencoded; charset=utf-8"
    return WireRequest("POST", url, headers, encoded.encode("ascii"))
