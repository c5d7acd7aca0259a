"""OAuth 2.0 for style ``json``: write a token request, read its answer, remember the token. No I/O; the clients send.

``oauthlib`` writes and reads what RFC 6749 says. It is the part of requests-oauthlib that speaks no HTTP: that package
would bring an HTTP stack beside ours, and logs the request's body and the token at DEBUG.
"""

from __future__ import annotations

import base64
import json
import math
import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote_plus

from airflow_provider_afilnet.api.answers import not_json, not_prepared, not_sent
from airflow_provider_afilnet.api.errors import AfilnetConfigurationError, AfilnetCredentialsError, AfilnetError
from airflow_provider_afilnet.api.methods import Method
from airflow_provider_afilnet.api.settings import ClientSettings
from airflow_provider_afilnet.api.styles import USER_AGENT, WireRequest

if TYPE_CHECKING:
    from oauthlib.oauth2 import Client

_LONGEST_MARGIN: Final = 60.0
"""A token is renewed so many seconds before it expires, or after nine tenths of its life, whichever is later."""

_WHAT: Final = "the token endpoint"


class TokenCache:
    """The token of one client, and when to ask for the next one.

    A token without a lifetime is used until the server refuses it. ``client_in_body``: where the endpoint wants to
    read the client's id and secret, as far as is known.
    """

    def __init__(self) -> None:
        self.client_in_body = False
        self._token: str | None = None
        self._renew_at = math.inf

    def current(self, refused: str | None = None) -> str | None:
        """The token to send, or ``None`` if a new one is needed.

        :param refused: a token that the server has just refused.
        """
        if self._token == refused or time.monotonic() >= self._renew_at:
            return None
        return self._token

    def try_in_body(self, settings: ClientSettings, http_status: int, headers: Mapping[str, str], body: bytes) -> bool:
        """Whether to ask again with the client in the body, because the endpoint may not read the header."""
        again = not self.client_in_body and http_status in (400, 401) and _error_of(body) == "invalid_client"
        self.client_in_body = self.client_in_body or (again and bool(settings.client_secret))
        return again and self.client_in_body

    def keep(self, token: str, lifetime: float | None, asked_at: float) -> str:
        """Remember a token.

        :param lifetime: seconds that it lives, ``None`` if unknown.
        :param asked_at: when it was asked for, by ``time.monotonic()``.
        :return: the token.
        """
        self._token = token
        margin = 0.0 if lifetime is None else min(_LONGEST_MARGIN, lifetime / 10)
        self._renew_at = math.inf if lifetime is None else asked_at + lifetime - margin
        return token


def token_request(settings: ClientSettings, method: Method, *, client_in_body: bool) -> WireRequest:
    """Write a token request.

    :param method: the call that waits for the token, for errors.
    :param client_in_body: send the client's id and secret in the body instead of the header. RFC 6749 knows both; every
        server must take the header, and some do not.
    :raises AfilnetConfigurationError: if oauthlib is not installed.
    """
    assert settings.token_url is not None
    headers = {
        "Accept": "application/json",
        "User-Agent": USER_AGENT,
        "Content-Type": "application/x-www-form-urlencoded",
    }
    client = _oauthlib_client(settings, method)
    more: dict[str, Any] = {"include_client_id": False}
    if settings.client_id and settings.client_secret and not client_in_body:
        pair = f"{quote_plus(settings.client_id)}:{quote_plus(settings.client_secret)}"
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode("ascii")
    elif settings.client_id:
        more = {"include_client_id": True, "client_secret": settings.client_secret}
    if settings.grant_type == "password":
        more |= {"username": settings.user, "password": settings.password}
    body = client.prepare_request_body(scope=settings.scope, **more)
    return WireRequest("POST", settings.token_url, headers, body.encode("ascii"))


def _oauthlib_client(settings: ClientSettings, method: Method) -> Client:
    try:
        from oauthlib.oauth2 import BackendApplicationClient, LegacyApplicationClient
    except ImportError:
        raise AfilnetConfigurationError(
            "api_style 'json' needs the package oauthlib: pip install 'airflow-provider-afilnet[oauth]'.",
            method=method.name,
        ) from None
    kind = LegacyApplicationClient if settings.grant_type == "password" else BackendApplicationClient
    return kind(settings.client_id)


def read_token(
    settings: ClientSettings, method: Method, http_status: int, headers: Mapping[str, str], body: bytes
) -> tuple[str, float | None]:
    """Read the answer of the token endpoint.

    :param method: the call that waits for the token; whatever goes wrong, it was not sent.
    :return: the token, and the seconds that it lives where the answer says so.
    :raises AfilnetCredentialsError: the endpoint does not accept who asks.
    :raises AfilnetError: any other typed error; no message holds what the endpoint wrote.
    """
    if http_status != 200:
        raise _refused(method, http_status, headers, _error_of(body))
    try:
        found = _oauthlib_client(settings, method).parse_request_body_response(body.decode("utf-8-sig"))
        token, kind, life = found.get("access_token"), found.get("token_type") or "bearer", found.get("expires_in")
    except AfilnetError:
        raise
    except (Exception, Warning):  # noqa: BLE001 - whatever it is, it may quote the answer, which may hold a token
        if (error := _error_of(body)) is not None:
            raise _refused(method, http_status, headers, error) from None
        raise not_sent(method, f"{_WHAT} answered {not_json(headers)} with a token; this may pass") from None
    if str(kind).lower() != "bearer":
        raise AfilnetConfigurationError(
            f"{method.name} was not sent: {_WHAT} gives tokens of another type than Bearer, which are not supported.",
            method=method.name,
        )
    if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token):
        raise not_sent(method, f"{_WHAT} answered a token that no header can carry; this may pass")
    return token, _seconds(life)


def _seconds(value: object) -> float | None:
    try:
        seconds = float(value) if isinstance(value, (int, float, str)) else math.nan
    except ValueError:
        seconds = math.nan
    return seconds if 0 < seconds < math.inf else None


def _error_of(body: bytes) -> str | None:
    """The error code of RFC 6749, section 5.2, if the body has one."""
    try:
        parsed = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None
    error = parsed.get("error") if isinstance(parsed, dict) else None
    # It is shown, so only what looks like a code is taken.
    return error if isinstance(error, str) and re.fullmatch(r"[a-z_]{1,40}", error) else None


def _refused(method: Method, http_status: int, headers: Mapping[str, str], error: str | None) -> AfilnetError:
    if error in ("invalid_client", "invalid_grant", "unauthorized_client", "access_denied") or http_status == 401:
        return AfilnetCredentialsError(
            f"{method.name} was not sent: {_WHAT} refused the sign-in ({error or 'HTTP 401'}); check 'client_id' and "
            "'client_secret', and login and password with the grant 'password'.",
            method=method.name,
            http_status=http_status,
        )
    if error is not None and http_status < 429:
        return AfilnetConfigurationError(
            f"{method.name} was not sent: {_WHAT} refused the request ({error}); check the extras 'grant_type' and "
            "'scope'.",
            method=method.name,
            http_status=http_status,
        )
    return not_prepared(method, _WHAT, "token_url", http_status, headers)
