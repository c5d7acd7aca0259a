"""TLS and proxies, which both clients must treat alike."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from api_styles import in_envelope, make_settings, preparation
from certificates import self_signed

from airflow_provider_afilnet.api import errors as e
from airflow_provider_afilnet.api.network import proxy_for
from airflow_provider_afilnet.api.settings import ClientSettings

SUCCESS = '{"status":"SUCCESS","result":"5"}'
SECRET = "s3cret-pass"


def at(url: str, **more: Any) -> ClientSettings:
    return ClientSettings(**{"user": "demo", "password": SECRET, "base_url": url, "timeout": 5, **more})


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[str, ssl.SSLContext]]:
    """The PEM file of a self-signed certificate, and the context of a server that shows it."""
    folder = tmp_path_factory.mktemp("tls")

    def make(address: str = "127.0.0.1") -> tuple[str, ssl.SSLContext]:
        pem = self_signed(folder / f"{address}.pem", address)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        return str(pem), context

    return make


@pytest.mark.parametrize("name", ["getbalance", "deletegroup"])
def test_a_certificate_nobody_signed_is_refused(
    asker: Any, raw_server: Any, http: Any, certificate: Any, params_of: Any, name: str
) -> None:
    server = raw_server(http(200, SUCCESS), tls=certificate()[1])
    error = asker.one(at(server.url), name, **params_of(name))
    assert (type(error), error.retryable) == (e.AfilnetConnectionError, False)
    assert "was not sent" in str(error)
    assert "'ca_bundle'" in str(error)
    assert server.requests == []


def test_a_named_authority_is_trusted(asker: Any, raw_server: Any, http: Any, certificate: Any) -> None:
    pem, context = certificate()
    server = raw_server(http(200, SUCCESS), tls=context)
    assert asker.one(at(server.url, ca_bundle=pem), "getbalance") == "5"


def test_a_trusted_certificate_of_another_host_is_refused(
    asker: Any, raw_server: Any, http: Any, certificate: Any
) -> None:
    pem, context = certificate("127.0.0.9")
    server = raw_server(http(200, SUCCESS), tls=context)
    error = asker.one(at(server.url, ca_bundle=pem), "getbalance")
    assert (type(error), error.retryable) == (e.AfilnetConnectionError, False)
    assert server.requests == []


def test_environment_does_not_turn_checks_off(
    asker: Any, raw_server: Any, http: Any, certificate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem, context = certificate()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", pem)
    monkeypatch.setenv("CURL_CA_BUNDLE", pem)
    assert isinstance(asker.one(at(raw_server(http(200, SUCCESS), tls=context).url), "getbalance"), e.AfilnetError)


def test_an_unusable_bundle_is_a_configuration_error(asker: Any, tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("no certificate")
    for name, shown in (("absent.pem", "not a file"), ("x.pem", "no readable PEM"), ("", "not a file")):
        error = asker.one(at("https://127.0.0.1:9", ca_bundle=str(tmp_path / name)), "getbalance")
        assert type(error) is e.AfilnetConfigurationError
        assert shown in str(error)


@pytest.mark.parametrize("name", ["getbalance", "creategroup"])
def test_https_to_a_server_without_tls_was_not_sent(
    asker: Any, raw_server: Any, http: Any, params_of: Any, name: str
) -> None:
    server = raw_server(http(200, SUCCESS))
    error = asker.one(at(server.url.replace("http:", "https:")), name, **params_of(name))
    assert (type(error), error.retryable) == (e.AfilnetConnectionError, True)
    assert "was not sent" in str(error)


def test_a_handshake_that_stalls_means_not_sent(asker: Any, params_of: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        error = asker.one(at(url, timeout=0.2), "creategroup", **params_of("creategroup"))
    assert (type(error), error.retryable) == (e.AfilnetConnectionError, True)
    assert "was not sent" in str(error)


@pytest.mark.parametrize("name", ["getbalance", "creategroup"])
def test_a_call_dropped_under_tls_may_have_been_applied(
    asker: Any, raw_server: Any, certificate: Any, params_of: Any, name: str
) -> None:
    pem, context = certificate()
    server = raw_server(None, tls=context)
    error = asker.one(at(server.url, ca_bundle=pem), name, **params_of(name))
    assert type(error) is (e.AfilnetConnectionError if name == "getbalance" else e.AfilnetOutcomeUnknownError)
    assert "was not sent" not in str(error)
    assert len(server.requests) == 1


PROXIED = [
    ("http_proxy", "http://{}", "http://afilnet.invalid", "http://afilnet.invalid/api/http/"),
    ("http_proxy", "{}", "http://afilnet.invalid:81", "http://afilnet.invalid:81/api/http/"),
    ("all_proxy", "http://{}", "http://afilnet.invalid", "http://afilnet.invalid/api/http/"),
    ("ALL_PROXY", "http://{}", "http://afilnet.invalid", "http://afilnet.invalid/api/http/"),
]


@pytest.mark.parametrize(("variable", "form", "url", "target"), PROXIED)
def test_the_proxy_of_the_environment_is_used(
    asker: Any,
    raw_server: Any,
    http: Any,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    form: str,
    url: str,
    target: str,
) -> None:
    proxy = raw_server(http(200, SUCCESS))
    monkeypatch.setenv(variable, form.format(f"127.0.0.1:{proxy.port}"))
    assert asker.one(at(url), "getbalance") == "5"
    (request,) = proxy.requests
    assert request.line == f"POST {target} HTTP/1.1"


@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY", "all_proxy"])
def test_https_goes_through_a_tunnel(
    asker: Any, raw_server: Any, http: Any, monkeypatch: pytest.MonkeyPatch, params_of: Any, variable: str
) -> None:
    proxy = raw_server(http(502), close_after=True)
    monkeypatch.setenv(variable, proxy.url)
    error = asker.one(at("https://afilnet.invalid"), "creategroup", **params_of("creategroup"))
    assert (type(error), error.retryable) == (e.AfilnetConnectionError, True)
    assert "was not sent" in str(error)
    assert [request.line.rpartition(" ")[0] for request in proxy.requests] == ["CONNECT afilnet.invalid:443"]
    assert SECRET not in str(proxy.requests)


def test_the_sign_in_of_a_proxy(asker: Any, raw_server: Any, http: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = raw_server(http(200, SUCCESS))
    monkeypatch.setenv("http_proxy", f"http://ana:pw@127.0.0.1:{proxy.port}")
    assert asker.one(at("http://afilnet.invalid", style="basic"), "getbalance") == "5"
    (request,) = proxy.requests
    assert request.headers["proxy-authorization"] == "Basic YW5hOnB3"
    assert request.headers["authorization"] != "Basic YW5hOnB3"


@pytest.mark.parametrize("exempt", ["afilnet.invalid", ".invalid", "*", "x.example, afilnet.invalid"])
def test_no_proxy_is_honoured(
    asker: Any, raw_server: Any, http: Any, monkeypatch: pytest.MonkeyPatch, exempt: str
) -> None:
    proxy = raw_server(http(200, SUCCESS))
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.setenv("NO_PROXY", exempt)
    assert type(asker.one(at("http://afilnet.invalid"), "getbalance")) is e.AfilnetConnectionError
    assert proxy.requests == []
    assert proxy_for("http://other.example") == (None if exempt == "*" else proxy.url)


def test_loopback_never_goes_through_a_proxy(
    asker: Any, raw_server: Any, http: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, proxy = raw_server(http(200, SUCCESS)), raw_server(http(502))
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.setenv("all_proxy", proxy.url)
    for url in (server.url, server.url.replace("127.0.0.1", "localhost")):
        assert asker.one(at(url), "getbalance") == "5"
    assert proxy.requests == []


def test_an_unreachable_proxy_means_not_sent(asker: Any, monkeypatch: pytest.MonkeyPatch, params_of: Any) -> None:
    for scheme in ("http", "https"):
        monkeypatch.setenv(f"{scheme}_proxy", "http://127.0.0.1:1")
        error = asker.one(at(f"{scheme}://afilnet.invalid"), "creategroup", **params_of("creategroup"))
        assert (type(error), error.retryable) == (e.AfilnetConnectionError, True)
        assert "was not sent" in str(error)


@pytest.mark.parametrize(
    "proxy", ["socks5://ana:pr0xy-pw@127.0.0.1:1", "http://", "http://ana:pr0xy-pw@a..b", "http://h:99999"]
)
def test_an_unusable_proxy_is_a_configuration_error_without_its_password(
    asker: Any, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    error = asker.one(at("http://afilnet.invalid"), "getbalance")
    assert type(error) is e.AfilnetConfigurationError
    assert "NO_PROXY" in str(error)
    assert "pr0xy-pw" not in str(error)


@pytest.mark.parametrize("style", ["soap", "json"])
def test_a_wsdl_a_token_and_the_calls_trust_the_named_authority_only(
    asker: Any, raw_server: Any, http: Any, certificate: Any, style: str
) -> None:
    pem, context = certificate()
    server = raw_server(http(200, SUCCESS), tls=context)
    assert asker.one(make_settings(server.url, style, ca_bundle=pem), "getbalance") == "5"
    assert (len(server.prepared), len(server.requests)) == (1, 1)
    error = asker.one(make_settings(server.url, style), "deletegroup", idgroup=1)
    assert (type(error), error.retryable) == (e.AfilnetConnectionError, False)
    assert "'ca_bundle'" in str(error)
    assert (len(server.prepared), len(server.requests)) == (1, 1)


@pytest.mark.parametrize("style", ["soap", "json"])
def test_a_wsdl_a_token_and_the_calls_go_through_the_proxy(
    asker: Any, raw_server: Any, http: Any, monkeypatch: pytest.MonkeyPatch, style: str
) -> None:
    host = "http://afilnet.invalid"

    def answer(request: Any) -> bytes | None:
        found = preparation(request.line.replace(host, ""), host)
        return found or (in_envelope(http(200, SUCCESS)) if style == "soap" else http(200, SUCCESS))

    proxy = raw_server(answer, bare=True)
    monkeypatch.setenv("http_proxy", proxy.url)
    assert asker.one(make_settings(host, style, allow_insecure_http=True), "getbalance") == "5"
    paths = {"soap": ["/soap?wsdl", "/soap"], "json": ["/oauth/token", "/api/json/"]}[style]
    assert [request.line.split()[1] for request in proxy.requests] == [host + path for path in paths]


def test_each_address_has_its_own_proxy(
    asker: Any, raw_server: Any, http: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exempt for the calls, and not for the token."""
    server = raw_server(http(200, SUCCESS))
    proxy = raw_server(lambda request: preparation(request.line.replace("http://sign-in.invalid", ""), ""), bare=True)
    monkeypatch.setenv("http_proxy", proxy.url)
    settings = make_settings(server.url, "json", token_url="http://sign-in.invalid/oauth/token")
    assert asker.many(settings, ("getbalance", {}), ("getbalance", {})) == ["5", "5"]
    assert (len(proxy.requests), len(server.requests), server.prepared) == (1, 2, [])
