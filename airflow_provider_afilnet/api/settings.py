"""What a client needs to know: where, who, how. Read once and strictly from the fields of a connection."""

from __future__ import annotations

import ipaddress
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args
from urllib.parse import urlsplit

from airflow_provider_afilnet.api.errors import AfilnetConfigurationError

ApiStyle = Literal["post", "get", "basic", "basic-get", "soap", "json"]
STYLES: Final[tuple[str, ...]] = get_args(ApiStyle)

GrantType = Literal["client_credentials", "password"]
GRANT_TYPES: Final[tuple[str, ...]] = get_args(GrantType)

DEFAULT_HOST: Final = "www.afilnet.com"
DEFAULT_BASE_URL: Final = f"https://{DEFAULT_HOST}"
DEFAULT_TIMEOUT: Final = 60.0
DEFAULT_MAX_CONNECTIONS: Final = 4
DEFAULT_MAX_REQUESTS_PER_SECOND: Final = 20.0

WORKING_EXTRAS: Final[tuple[str, ...]] = (
    "api_style",
    "timeout",
    "max_connections",
    "max_requests_per_second",
    "ca_bundle",
    "api_facts",
    "allow_insecure_http",
    "wsdl_url",
    "json_url",
    "token_url",
    "grant_type",
    "client_id",
    "client_secret",
    "scope",
)
"""Every extra. Those of a style that is not chosen are checked all the same, and not used."""


@dataclass(frozen=True, slots=True)
class ApiFacts:
    """What is known of the live service where its documents are silent; ``None`` means unknown.

    :param bulk_dedupes: ``addcontactlist`` skips contacts that are there already.
    :param modify_merges: ``modifycontact`` keeps the fields that are not sent.
    :param creategroup_returns_id: ``creategroup`` answers the new group's id.
    """

    bulk_dedupes: bool | None = None
    modify_merges: bool | None = None
    creategroup_returns_id: bool | None = None


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """Everything a client needs. Nothing that signs in shows in ``repr``, and no address that may hold a key.

    :param user: Afilnet user or e-mail; unused in style ``json`` with the grant ``client_credentials``.
    :param password: its password.
    :param base_url: scheme, host and port, without a path; unused in the styles ``soap`` and ``json``.
    :param style: how a call is put on the wire.
    :param timeout: seconds to wait for a connection, and for the next byte of an answer.
    :param max_connections: most calls under way at once in bulk work, which uses fewer while the server is overloaded.
    :param max_requests_per_second: highest pace of bulk work, which is slower where the server refuses; 0: no limit.
    :param ca_bundle: path of a PEM file that replaces the built-in certificate authorities.
    :param facts: what is known of the live service.
    :param allow_insecure_http: plain http to other machines is accepted, also where a WSDL names an address.
    :param wsdl_url: address of the WSDL, for style ``soap``.
    :param json_url: address that takes the calls of style ``json``.
    :param token_url: address of its OAuth 2.0 token endpoint.
    :param grant_type: how a token is asked for.
    :param client_id: OAuth client; optional with the grant ``password``.
    :param client_secret: its secret.
    :param scope: scope to ask for; ``None`` asks for none.
    """

    user: str = field(repr=False)
    password: str = field(repr=False)
    base_url: str = DEFAULT_BASE_URL
    style: ApiStyle = "post"
    timeout: float = DEFAULT_TIMEOUT
    max_connections: int = DEFAULT_MAX_CONNECTIONS
    max_requests_per_second: float = DEFAULT_MAX_REQUESTS_PER_SECOND
    ca_bundle: str | None = None
    facts: ApiFacts = ApiFacts()
    allow_insecure_http: bool = False
    wsdl_url: str | None = field(default=None, repr=False)
    json_url: str | None = field(default=None, repr=False)
    token_url: str | None = field(default=None, repr=False)
    grant_type: GrantType = "client_credentials"
    client_id: str | None = field(default=None, repr=False)
    client_secret: str | None = field(default=None, repr=False)
    scope: str | None = field(default=None, repr=False)

    @property
    def origin(self) -> str:
        """Scheme, host and port of the address that this style begins with: for messages, since it holds no path."""
        url = {"soap": self.wsdl_url, "json": self.json_url}.get(self.style) or self.base_url
        return "{0.scheme}://{0.netloc}".format(urlsplit(url))


def read_settings(
    *,
    host: str | None,
    schema: str | None = None,
    port: int | None = None,
    login: str | None,
    password: str | None,
    extra: Mapping[str, Any] | None = None,
    name: str = "The Afilnet connection",
) -> ClientSettings:
    """Read the fields of a connection strictly; ``None`` and blank text count as absent.

    :param name: what messages call the connection, such as ``Connection 'afilnet_default'``.
    :raises AfilnetConfigurationError: naming the field and the way out.
    """
    # A form hands over null or blank text for what was left empty.
    extra = {key: value for key, value in (extra or {}).items() if value is not None and value != ""}
    unknown = sorted(set(extra) - set(WORKING_EXTRAS))
    if unknown:
        raise AfilnetConfigurationError(
            f"{name} has the unknown extra{'s' if len(unknown) > 1 else ''} {', '.join(map(repr, unknown))}; "
            f"remove it, or use one of: {', '.join(WORKING_EXTRAS)}."
        )
    style = _read_choice(extra.get("api_style", "post"), STYLES, f"{name}: api_style")
    grant_type = _read_choice(extra.get("grant_type", "client_credentials"), GRANT_TYPES, f"{name}: grant_type")
    by_client = style == "json" and grant_type == "client_credentials"
    user = (login or "").strip()
    if not user and not by_client:
        raise AfilnetConfigurationError(f"{name} has no login: put the Afilnet user or e-mail there.")
    if not password and not by_client:
        raise AfilnetConfigurationError(f"{name} has no password: put the Afilnet password there.")
    insecure = read_bool(extra.get("allow_insecure_http", False), f"{name}: extra 'allow_insecure_http'")
    urls = {
        field_name: check_address(extra[field_name], f"{name}: extra {field_name!r}", allow_insecure_http=insecure)
        for field_name in ("wsdl_url", "json_url", "token_url")
        if field_name in extra
    }
    texts = {
        field_name: _read_text(extra[field_name], f"{name}: extra {field_name!r}")
        for field_name in ("client_id", "client_secret", "scope")
        if field_name in extra
    }
    needed = {"soap": ("wsdl_url",), "json": ("json_url", "token_url")}.get(style, ())
    for field_name in (*needed, *(("client_id", "client_secret") if by_client else ())):
        if field_name not in extra:
            raise AfilnetConfigurationError(f"{name}: api_style {style!r} needs the extra {field_name!r}.")
    if "client_secret" in texts and "client_id" not in texts:
        raise AfilnetConfigurationError(f"{name}: the extra 'client_secret' needs the extra 'client_id' beside it.")
    _check_characters(style, user, password or "", name)
    return ClientSettings(
        user=user,
        password=password or "",
        base_url=_read_base_url(host, schema, port, allow_insecure_http=insecure, name=name),
        style=style,  # type: ignore[arg-type]
        timeout=_read_number(extra.get("timeout", DEFAULT_TIMEOUT), f"{name}: extra 'timeout'", above=0, highest=86400),
        max_connections=_read_integer(
            extra.get("max_connections", DEFAULT_MAX_CONNECTIONS), f"{name}: extra 'max_connections'", 1, 64
        ),
        max_requests_per_second=_read_number(
            extra.get("max_requests_per_second", DEFAULT_MAX_REQUESTS_PER_SECOND),
            f"{name}: extra 'max_requests_per_second'",
        ),
        ca_bundle=_read_path(extra.get("ca_bundle"), f"{name}: extra 'ca_bundle'"),
        facts=_read_facts(extra.get("api_facts"), name),
        allow_insecure_http=insecure,
        grant_type=grant_type,  # type: ignore[arg-type]
        **urls,
        **texts,
    )


def _check_characters(style: str, user: str, password: str, name: str) -> None:
    """Refuse what the style cannot carry: the error of an encoder would hold the whole text."""
    for field_name, text in (("login", user), ("password", password)):
        if any("\ud800" <= ch <= "\udfff" for ch in text):
            raise AfilnetConfigurationError(
                f"{name}: the {field_name} holds half of a surrogate pair, which is no text and cannot be sent."
            )
        if style == "soap" and not is_xml_text(text):
            raise AfilnetConfigurationError(
                f"{name}: the {field_name} holds a character that XML cannot carry; use another api_style."
            )
    if style in ("basic", "basic-get") and ":" in user:
        raise AfilnetConfigurationError(
            f"{name}: the login holds a colon, which HTTP Basic cannot carry; use api_style 'post'."
        )


def read_bool(value: object, what: str) -> bool:
    """Read true or false, also as text (connection forms and templates hand over text)."""
    if isinstance(value, bool):
        return value
    text = value.strip().lower() if isinstance(value, str) else None
    if text in ("true", "false"):
        return text == "true"
    raise AfilnetConfigurationError(f"{what} must be true or false, not {value!r}.")


def _read_number(value: object, what: str, *, above: float | None = None, highest: float = math.inf) -> float:
    try:
        number = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number) or number < 0 or number > highest or (above is not None and number <= above):
        wanted = f"a number above 0, {highest:g} at most" if above is not None else "a number of 0 (no limit) or more"
        raise AfilnetConfigurationError(f"{what} must be {wanted}, not {value!r}.")
    return number


def _read_integer(value: object, what: str, lowest: int, highest: int) -> int:
    if isinstance(value, str) and value.strip().isdecimal():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        raise AfilnetConfigurationError(f"{what} must be a whole number from {lowest} to {highest}, not {value!r}.")
    return value


def _read_path(value: object, what: str) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise AfilnetConfigurationError(
            f"{what} must be the path of a PEM file; certificate checks cannot be turned off."
        )
    return value


def _read_choice(value: object, choices: tuple[str, ...], what: str) -> str:
    if not isinstance(value, str) or value not in choices:
        raise AfilnetConfigurationError(f"{what} must be one of {', '.join(choices)}, not {value!r}.")
    return value


def _read_text(value: object, what: str) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)  # what Airflow makes of digits in the query of a connection's URI
    # Its value may be a secret, so no message shows it.
    if not isinstance(value, str) or not value.strip():
        raise AfilnetConfigurationError(f"{what} must be text.")
    if not value.isprintable():
        raise AfilnetConfigurationError(f"{what} holds a character, such as a line end, that cannot be sent.")
    return value


def _read_facts(value: object, name: str) -> ApiFacts:
    if value is None or value == "":
        return ApiFacts()
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise AfilnetConfigurationError(f"{name}: extra 'api_facts' is not valid JSON.") from None
    known = tuple(ApiFacts.__slots__)
    if not isinstance(value, Mapping):
        raise AfilnetConfigurationError(f"{name}: extra 'api_facts' must be an object with {', '.join(known)}.")
    unknown = sorted(set(value) - set(known))
    if unknown:
        raise AfilnetConfigurationError(
            f"{name}: extra 'api_facts' has the unknown name {unknown[0]!r}; known are {', '.join(known)}."
        )
    return ApiFacts(
        **{fact: read_bool(value[fact], f"{name}: api_facts {fact!r}") for fact in known if value.get(fact) is not None}
    )


def _read_base_url(
    host: str | None, schema: str | None, port: int | None, *, allow_insecure_http: bool, name: str
) -> str:
    host = (host or "").strip() or DEFAULT_HOST
    unusable = AfilnetConfigurationError(
        f"{name}: the host cannot be used; give a base URL such as {DEFAULT_BASE_URL} or http://127.0.0.1:8765, "
        "without user, path or query."
    )
    if "://" not in host:
        # A bare IPv6 address needs its brackets before a port can follow it.
        host = f"[{host}]" if host.count(":") > 1 and not host.startswith("[") else host
        host = f"{(schema or '').strip() or 'https'}://{host}"
    try:
        parts = urlsplit(host)
        own_port = parts.port
    except ValueError:
        raise unusable from None
    scheme = parts.scheme.lower()
    if scheme not in ("http", "https"):
        raise AfilnetConfigurationError(f"{name}: the scheme must be https (or http), not {parts.scheme!r}.")
    hostname = parts.hostname or ""
    if (
        not is_host_name(hostname)
        or parts.username is not None
        or parts.password is not None
        or parts.path not in ("", "/")
        or parts.query
        or parts.fragment
    ):
        raise unusable
    if own_port is not None and port is not None and own_port != port:
        raise AfilnetConfigurationError(
            f"{name}: the host names port {own_port} and the port field {port}; keep one of them."
        )
    number = own_port if own_port is not None else port
    if number is not None and not (isinstance(number, int) and 1 <= number <= 65535):
        raise AfilnetConfigurationError(f"{name}: port {number!r} is not a port; give a number from 1 to 65535.")
    if scheme == "http" and not allow_insecure_http and not is_loopback(hostname):
        raise AfilnetConfigurationError(
            f"{name}: plain http would send the password unencrypted to {hostname!r}; use https, or set the extra "
            "'allow_insecure_http' to true if you accept that."
        )
    shown = f"[{hostname}]" if ":" in hostname else hostname
    return f"{scheme}://{shown}" + (f":{number}" if number is not None else "")


def check_address(value: object, what: str, *, allow_insecure_http: bool) -> str:
    """Check a whole address, as a connection or a WSDL names it.

    :param what: what named it, for the error, which shows the host at most: the rest may hold a key.
    :return: the address.
    :raises AfilnetConfigurationError: if it is no http(s) address without a user, or plain http to another machine.
    """
    try:
        if not isinstance(value, str):
            raise ValueError
        text = value.strip()
        parts = urlsplit(text)
        hostname = parts.hostname or ""
        usable = parts.port != 0 and not any(ord(ch) <= 32 for ch in text)
    except ValueError:
        usable = False
    if (
        not usable
        or parts.scheme not in ("http", "https")
        or not is_host_name(hostname)
        or "@" in parts.netloc
        or parts.fragment
    ):
        raise AfilnetConfigurationError(
            f"{what} must be a whole address such as https://www.example.com/path, without user and fragment."
        )
    if parts.scheme == "http" and not allow_insecure_http and not is_loopback(hostname):
        raise AfilnetConfigurationError(
            f"{what} would send the password unencrypted to {hostname!r} over plain http; use https, or set the extra "
            "'allow_insecure_http' to true if you accept that."
        )
    return text


def is_xml_text(text: str) -> bool:
    """Whether XML 1.0 can carry every character of the text."""
    return not any((ch < " " and ch not in "\t\n\r") or ch in "\ufffe\uffff" for ch in text)


def is_host_name(hostname: str) -> bool:
    """Whether the name can be looked up: the HTTP libraries fail in their own ways on what cannot."""
    try:
        hostname.encode("idna")
    except UnicodeError:
        return False
    return bool(hostname) and not any(ch.isspace() or ch in '\\"<>^`{}|%' for ch in hostname)


def is_loopback(hostname: str) -> bool:
    """Whether the name can only mean this machine."""
    if hostname.rstrip(".").lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(hostname).is_loopback
    except ValueError:
        return False
