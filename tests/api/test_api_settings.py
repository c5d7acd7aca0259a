"""Reading the fields of a connection: what is honoured, what is refused, and that no message holds the password."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_afilnet.api.errors import AfilnetConfigurationError
from airflow_provider_afilnet.api.settings import (
    DEFAULT_BASE_URL,
    STYLES,
    WORKING_EXTRAS,
    ApiFacts,
    ClientSettings,
    is_loopback,
    read_bool,
    read_settings,
)

PASSWORD = "hunter2-very-secret"


def read(**fields: Any) -> ClientSettings:
    return read_settings(**{"host": None, "login": "ana@example.com", "password": PASSWORD, **fields})


def refused(**fields: Any) -> str:
    with pytest.raises(AfilnetConfigurationError) as caught:
        read(name="Connection 'c1'", **fields)
    message = str(caught.value)
    assert message.startswith("Connection 'c1'")
    assert PASSWORD not in message
    assert not caught.value.retryable
    return message


@pytest.mark.parametrize(
    ("host", "schema", "port", "url"),
    [
        (None, None, None, DEFAULT_BASE_URL),
        ("", "", None, DEFAULT_BASE_URL),
        (None, "https", None, DEFAULT_BASE_URL),
        ("", None, 8443, f"{DEFAULT_BASE_URL}:8443"),
        ("www.afilnet.com", None, None, "https://www.afilnet.com"),
        (" www.afilnet.com ", None, None, "https://www.afilnet.com"),
        ("www.afilnet.com", "https", 8443, "https://www.afilnet.com:8443"),
        ("WWW.Afilnet.com:8443", None, None, "https://www.afilnet.com:8443"),
        ("www.afilnet.com:8443", None, 8443, "https://www.afilnet.com:8443"),
        ("https://www.afilnet.com/", None, None, "https://www.afilnet.com"),
        ("https://www.afilnet.com", "http", None, "https://www.afilnet.com"),
        ("HTTPS://www.afilnet.com", "http", 444, "https://www.afilnet.com:444"),
        ("http://127.0.0.1:8765", None, None, "http://127.0.0.1:8765"),
        ("http://127.0.0.1", "https", 8765, "http://127.0.0.1:8765"),
        ("127.0.0.1", "http", 8765, "http://127.0.0.1:8765"),
        ("127.99.0.1", "HTTP", None, "http://127.99.0.1"),
        ("localhost", "http", 80, "http://localhost:80"),
        ("http://LOCALHOST", None, None, "http://localhost"),
        ("::1", "http", 8765, "http://[::1]:8765"),
        ("[::1]", "http", None, "http://[::1]"),
        ("http://[::1]:8765", None, None, "http://[::1]:8765"),
        ("[2001:db8::7]:444", None, None, "https://[2001:db8::7]:444"),
        ("münchen.example", None, None, "https://münchen.example"),
    ],
)
def test_base_url(host: str | None, schema: str | None, port: int | None, url: str) -> None:
    assert read(host=host, schema=schema, port=port).base_url == url


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        *(
            ({"host": host}, "the host cannot be used")
            for host in (
                "https://www.afilnet.com/api/http/",
                "www.afilnet.com/x",
                "https://h.example?x=1",
                "https://h.example#x",
                f"https://ana:{PASSWORD}@h.example",
                f"ana:{PASSWORD}@h.example",
                "https://@h.example",
                "https://",
                "http://::1",
                "http://[::1",
                "https://h.example:99999",
                "https://h.example:8o",
                "a..b",
                f"{'x' * 64}.example",
                "two words",
                "a%20b.example",
                "a\\b.example",
                "//h.example",
            )
        ),
        ({"host": "ftp://h.example"}, "'ftp'"),
        ({"host": "h.example", "schema": "afilnet"}, "'afilnet'"),
        ({"host": "https://h.example:1", "port": 2}, "port 1 and the port field 2"),
        ({"host": "h.example", "port": 0}, "port 0"),
        ({"host": "h.example", "port": 65536}, "port 65536"),
        ({"host": None, "schema": "http"}, "plain http"),
        ({"login": None}, "no login"),
        ({"login": "  "}, "no login"),
        ({"password": None}, "no password"),
        ({"password": ""}, "no password"),
        ({"password": f"{PASSWORD}\ud800"}, "password holds half of a surrogate pair"),
        ({"login": "ana\ud800"}, "login holds half of a surrogate pair"),
    ],
)
def test_unusable_fields(fields: dict[str, Any], shown: str) -> None:
    assert shown in refused(**fields)


REMOTE = [
    "www.afilnet.com",
    "localhost.evil.com",
    "127.0.0.1.evil.com",
    "evil-localhost",
    "128.0.0.1",
    "0.0.0.0",
    "127.1",
    "[2001:db8::1]",
]


@pytest.mark.parametrize("host", REMOTE)
def test_plain_http_is_refused_except_to_loopback(host: str) -> None:
    for fields in ({"host": f"http://{host}"}, {"host": host, "schema": "http"}):
        assert "allow_insecure_http" in refused(**fields)
        assert "allow_insecure_http" in refused(**fields, extra={"allow_insecure_http": "false"})
        assert read(**fields, extra={"allow_insecure_http": "True"}).base_url == f"http://{host}"
    assert read(host=host).base_url == f"https://{host}"
    assert not is_loopback(host.strip("[]"))


@pytest.mark.parametrize("host", ["localhost", "LocalHost.", "127.0.0.1", "127.255.255.254", "::1"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


def test_defaults_and_a_login_without_blanks() -> None:
    settings = read(login=" ana@example.com ")
    assert (settings.user, settings.password) == ("ana@example.com", PASSWORD)
    assert (settings.style, settings.timeout, settings.max_connections, settings.max_requests_per_second) == (
        "post",
        60,
        4,
        20,
    )
    assert settings.ca_bundle is None
    assert settings.facts == ApiFacts(None, None, None)
    assert read(password=" blank ").password == " blank "


def test_null_extras_are_absent() -> None:
    assert read(extra=dict.fromkeys(WORKING_EXTRAS)) == read(extra={"no_such": None}) == read()


@pytest.mark.parametrize("extra", [{"pasword": PASSWORD}, {"verify": False}, {"a": 1, "b": 2}, {"TIMEOUT": 5}])
def test_unknown_extras_are_refused_by_name(extra: dict[str, Any]) -> None:
    message = refused(extra=extra)
    assert all(repr(name) in message for name in extra)
    assert "api_facts" in message


JSON_STYLE = {
    "api_style": "json",
    "json_url": "https://api.example/json?v=1",
    "token_url": "https://sign-in.example/token",
    "client_id": "the-id",
    "client_secret": PASSWORD,
    "scope": "contacts:read contacts:write",
}
SOAP_STYLE = {"api_style": "soap", "wsdl_url": "https://api.example/soap?wsdl"}


@pytest.mark.parametrize("style", STYLES)
def test_styles(style: str) -> None:
    settings = read(extra={**JSON_STYLE, **SOAP_STYLE, "api_style": style})
    assert settings.style == style
    # What another style would need may be there.
    assert (settings.wsdl_url, settings.json_url) == (SOAP_STYLE["wsdl_url"], JSON_STYLE["json_url"])
    assert settings.origin == ("https://api.example" if style in ("soap", "json") else DEFAULT_BASE_URL)


def test_who_signs_in_with_a_client_needs_no_login() -> None:
    settings = read(login=None, password=None, extra=JSON_STYLE)
    assert (settings.user, settings.password, settings.grant_type) == ("", "", "client_credentials")
    assert (settings.client_id, settings.client_secret, settings.scope) == ("the-id", PASSWORD, JSON_STYLE["scope"])
    assert "no login" in refused(login=None, extra={**JSON_STYLE, "grant_type": "password"})
    assert "no password" in refused(password=None, extra={**JSON_STYLE, "grant_type": "password"})
    assert "no login" in refused(login=None, extra=SOAP_STYLE)


def test_a_client_is_optional_with_the_grant_password() -> None:
    extra = {name: value for name, value in JSON_STYLE.items() if not name.startswith("client_")}
    settings = read(extra={**extra, "grant_type": "password"})
    assert (settings.user, settings.client_id) == ("ana@example.com", None)
    read(extra={**extra, "grant_type": "password", "client_id": "public"})
    assert "'client_id'" in refused(extra={**extra, "grant_type": "password", "client_secret": PASSWORD})


@pytest.mark.parametrize("field", ["json_url", "token_url", "client_id", "client_secret", "wsdl_url"])
@pytest.mark.parametrize("blank", [None, ""])
def test_what_a_style_needs_is_named(field: str, blank: object) -> None:
    style = SOAP_STYLE if field == "wsdl_url" else JSON_STYLE
    message = refused(extra={**style, field: blank})
    assert message.endswith(f": api_style {style['api_style']!r} needs the extra {field!r}.")


@pytest.mark.parametrize("field", ["wsdl_url", "json_url", "token_url"])
@pytest.mark.parametrize(
    "value",
    [
        "api.example/json",
        "ftp://api.example/x",
        "file:///etc/passwd",
        "https://",
        "https://a..b/x",
        "https://api.example:99999/x",
        "https://api.example:0/x",
        f"https://ana:{PASSWORD}@api.example/x",
        "https://api.example/x#y",
        "https://api.example/a b",
        "https://api.example/a\nb",
        "https://[::1/x",
        5,
        ["https://api.example"],
    ],
)
def test_bad_addresses_are_refused_by_name(field: str, value: object) -> None:
    for style in ("post", "soap", "json"):
        message = refused(extra={**JSON_STYLE, **SOAP_STYLE, "api_style": style, field: value})
        assert f"extra {field!r} must be a whole address" in message


@pytest.mark.parametrize("field", ["wsdl_url", "json_url", "token_url"])
def test_an_address_over_plain_http_is_refused_except_to_loopback(field: str) -> None:
    style = SOAP_STYLE if field == "wsdl_url" else JSON_STYLE
    for host in (host for host in REMOTE):
        extra = {**style, field: f"http://{host}/path"}
        assert f"{field!r} would send the password unencrypted" in refused(extra=extra)
        assert getattr(read(extra={**extra, "allow_insecure_http": True}), field) == extra[field]
    for host in ("localhost", "127.0.0.1:8765", "[::1]:8765"):
        assert getattr(read(extra={**style, field: f"http://{host}/path"}), field) == f"http://{host}/path"


@pytest.mark.parametrize("field", ["client_id", "client_secret", "scope"])
@pytest.mark.parametrize("value", [5.5, True, " ", ["x"], f"{PASSWORD}\n", f"{PASSWORD}\ud800"])
def test_bad_texts_of_a_client_are_refused_by_name(field: str, value: object) -> None:
    assert repr(field) in refused(extra={**JSON_STYLE, field: value})


def test_digits_are_a_text_too() -> None:
    """Airflow makes numbers of digits in the query of a connection's URI."""
    extra = {**JSON_STYLE, "client_id": 12345, "client_secret": 67890, "scope": 7}
    settings = read(extra=extra)
    assert (settings.client_id, settings.client_secret, settings.scope) == ("12345", "67890", "7")


@pytest.mark.parametrize("grant", ["Password", "authorization_code", 1, True])
def test_a_grant_that_is_not_supported(grant: object) -> None:
    assert "grant_type must be one of client_credentials, password" in refused(
        extra={**JSON_STYLE, "grant_type": grant}
    )


@pytest.mark.parametrize("field", ["login", "password"])
def test_what_xml_cannot_carry_is_refused_for_soap(field: str) -> None:
    assert f"the {field} holds a character that XML cannot carry" in refused(
        **{field: f"{PASSWORD}\x01"}, extra=SOAP_STYLE
    )
    assert read(**{field: f"{PASSWORD}\x01"})


def test_nothing_of_a_client_shows() -> None:
    settings = read(extra={**JSON_STYLE, **SOAP_STYLE, "json_url": f"https://api.example/?key={PASSWORD}"})
    for shown in (repr(settings), str(settings), settings.origin):
        assert PASSWORD not in shown
        assert "the-id" not in shown


@pytest.mark.parametrize(
    ("extra", "field", "value"),
    [
        ({"timeout": "2.5"}, "timeout", 2.5),
        ({"timeout": 5}, "timeout", 5.0),
        ({"max_connections": " 16 "}, "max_connections", 16),
        ({"max_connections": 1}, "max_connections", 1),
        ({"max_requests_per_second": "0"}, "max_requests_per_second", 0.0),
        ({"max_requests_per_second": 0.5}, "max_requests_per_second", 0.5),
        ({"ca_bundle": "/x.pem"}, "ca_bundle", "/x.pem"),
        ({"ca_bundle": ""}, "ca_bundle", None),
        ({"api_facts": ""}, "facts", ApiFacts()),
        ({"api_facts": '{"bulk_dedupes": true, "modify_merges": "false"}'}, "facts", ApiFacts(True, False)),
        ({"api_facts": {"creategroup_returns_id": "True", "bulk_dedupes": None}}, "facts", ApiFacts(None, None, True)),
    ],
)
def test_extras(extra: dict[str, Any], field: str, value: object) -> None:
    found = getattr(read(extra=extra), field)
    assert found == value
    assert type(found) is type(value)


BAD_EXTRAS: list[tuple[str, object]] = [
    *(("api_style", value) for value in ("POST", "xml", 1, True)),
    *(("timeout", value) for value in (0, -1, "0", "soon", "nan", "inf", True, [], 10**400, 86401)),
    *(("max_connections", value) for value in (0, 65, -1, "4.0", 4.0, True, "many")),
    *(("max_requests_per_second", value) for value in (-1, "fast", False, "nan", {})),
    *(("ca_bundle", value) for value in (False, True, 5)),
    *(("allow_insecure_http", value) for value in ("yes", 1, 0, [])),
    *(
        ("api_facts", value)
        for value in ("{", "[]", "true", 5, [], {"bulk_dedupes": 1}, {"x": True}, '{"modify_merges": "maybe"}')
    ),
]


@pytest.mark.parametrize(("name", "value"), BAD_EXTRAS)
def test_bad_extras_are_refused_by_name(name: str, value: object) -> None:
    assert name in refused(extra={name: value})


def test_tls_verification_cannot_be_turned_off() -> None:
    assert "cannot be turned off" in refused(extra={"ca_bundle": False})


@pytest.mark.parametrize(("value", "truth"), [(True, True), (False, False), ("true", True), (" FALSE ", False)])
def test_read_bool(value: object, truth: bool) -> None:
    assert read_bool(value, "x") is truth


def test_settings_do_not_show_who_signs_in() -> None:
    for shown in (repr(read()), str(read()), f"{read()!r:>200}"):
        assert PASSWORD not in shown
        assert "ana@example.com" not in shown


def test_a_blank_extra_counts_as_absent() -> None:
    settings = read_settings(
        host=None, login="me", password="secret", extra={"api_style": "", "timeout": "", "x": None}
    )
    assert (settings.style, settings.timeout) == ("post", 60.0)


@pytest.mark.parametrize("style", ["basic", "basic-get"])
def test_a_login_with_a_colon_is_refused_where_http_basic_would_cut_it(style: str) -> None:
    with pytest.raises(AfilnetConfigurationError, match=r"colon.*'post'"):
        read_settings(host=None, login="me:too", password="secret", extra={"api_style": style})
    assert read_settings(host=None, login="me:too", password="secret").user == "me:too"
