"""``docs/connection.md``: its tables are complete and true, and its examples are connections that work."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from docs.pages import claim, names_in, names_of, section, table

from airflow_provider_afilnet.api.settings import STYLES, ApiFacts, ClientSettings, read_settings
from airflow_provider_afilnet.get_provider_info import get_provider_info
from airflow_provider_afilnet.hooks.afilnet import AfilnetHook
from airflow_provider_afilnet.sandbox import Sandbox

PAGE = "docs/connection.md"
(TYPE,) = get_provider_info()["connection-types"]
JSON_ENVIRONMENT = claim(PAGE, "bash", '\'{"conn_type"')
URI_ENVIRONMENT = claim(PAGE, "bash", "'afilnet://")
ADD = claim(PAGE, "bash", "airflow connections add")
TEST = claim(PAGE, "bash", "airflow connections test")
EXTRA = claim(PAGE, "json", '{"api_style": "basic"')
FACTS = claim(PAGE, "json", '{"api_facts":')
SANDBOX = claim(PAGE, "json", "127.0.0.1:8765")
BUNDLE = claim(PAGE, "json", "ca_bundle")
STYLED = [claim(PAGE, "json", what) for what in ("soap.example.com", "client_secret", '"grant_type": "password"')]


def exported(block: str) -> str:
    """The value that the block's one line gives to the variable."""
    (value,) = re.findall(r"^export AIRFLOW_CONN_AFILNET_DEFAULT='(.*)'$", block, re.MULTILINE)
    return str(value)


def test_the_fields_table_and_the_forms_labels() -> None:
    assert names_of(section(PAGE, "Fields")) == ["login", "password", "host", "schema", "port"]
    labels = re.findall(r"\*\*(.+?)\*\*", section(PAGE, "Fields"))
    told = TYPE["ui-field-behaviour"]["relabeling"]
    assert labels == [told["login"], "Password", told["host"], told["schema"], "Port"]


def test_the_extras_table_is_complete_and_its_defaults_are_true() -> None:
    rows = table(section(PAGE, "Extras"))
    assert [name for row in rows for name in names_in(row[0])] == list(TYPE["conn-fields"])
    for cell, default, meaning in rows:
        for name in names_in(cell):
            schema = TYPE["conn-fields"][name]["schema"]
            if "default" in schema:
                assert default.strip("`") == json.dumps(schema["default"]).strip('"'), name
            else:
                assert default in ("–", "none", "unknown", "certifi's"), name
            for word in schema.get("enum", ()):
                assert f"`{word}`" in meaning, (name, word)


def test_an_extra_that_is_in_no_table_is_refused() -> None:
    with pytest.raises(Exception, match="unknown extra 'verify'"):
        read_settings(host=None, login="u", password="p", extra={"verify": False})


def test_the_styles_and_facts_tables_are_complete() -> None:
    assert sorted(names_of(section(PAGE, "Styles"))) == sorted(STYLES)
    assert names_of(section(PAGE, "Facts")) == list(ApiFacts.__slots__)
    assert read_settings(host=None, login="u", password="p", extra=json.loads(FACTS)).facts == ApiFacts(
        **json.loads(FACTS)["api_facts"]
    )


def test_the_environment_blocks_are_working_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    known = ClientSettings("me@example.com", "secret")
    monkeypatch.setenv("AIRFLOW_CONN_AFILNET_DEFAULT", exported(JSON_ENVIRONMENT))
    assert AfilnetHook().settings == known
    monkeypatch.setenv("AIRFLOW_CONN_AFILNET_DEFAULT", exported(URI_ENVIRONMENT))
    settings = AfilnetHook().settings
    assert (settings.user, settings.password, settings.base_url) == (known.user, known.password, known.base_url)
    assert (settings.timeout, settings.max_requests_per_second) == (30, 5)


def test_the_extra_of_an_older_form_and_the_bundle_are_read() -> None:
    settings = read_settings(host=None, login="u", password="p", extra=json.loads(EXTRA))
    assert (settings.style, settings.timeout, settings.facts.modify_merges) == ("basic", 30, False)
    fields = json.loads(BUNDLE)
    fields.pop("conn_type")
    assert read_settings(host=None, **fields).ca_bundle == "/etc/ssl/certs/company.pem"


def test_the_sandboxs_connection_works(monkeypatch: pytest.MonkeyPatch) -> None:
    with Sandbox() as running:
        text = SANDBOX.replace("http://127.0.0.1:8765", running.url)
        monkeypatch.setenv("AIRFLOW_CONN_AFILNET_DEFAULT", text)
        assert AfilnetHook().get_balance() == 25.5


@pytest.mark.parametrize("block", STYLED, ids=["soap", "client", "password"])
def test_the_connections_of_other_styles_work(block: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each reads the balance once its addresses are those of a sandbox that knows its user or its client."""
    text = re.sub(r"https://[a-z]+\.example\.com", sandbox.url, block)
    user, client = json.loads(block).get("login", "someone"), json.loads(block)["extra"].get("client_id")
    sandbox.add_account(user, "secret", balance=7)
    if client:
        sandbox.add_client(user, client, "its-secret")
    monkeypatch.setenv("AIRFLOW_CONN_AFILNET_DEFAULT", text)
    assert AfilnetHook().test_connection() == (True, f"Signed in at {sandbox.url}; the account has 7 credits.")


def test_the_commands_add_and_test_a_connection(
    airflow_home: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In Airflow's own command line and database; only the address and the account are the sandbox's."""
    sandbox.add_account("me@example.com", "secret")
    add = ADD.rstrip() + f" --conn-host {sandbox.url}\n"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_CONN_")}

    def run(script: str) -> Any:
        return subprocess.run(
            ["bash", "-e", "-c", script],
            env={**environment, "PATH": path, "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING"},
            capture_output=True,
            text=True,
            timeout=120,
        )

    try:
        added = run(add)
        assert added.returncode == 0, added.stdout + added.stderr
        good, bad = re.findall(r"`(Connection \w+!)`", section(PAGE, "Testing it"))
        assert good in run(TEST).stdout
        sandbox.fail("error", code="INCORRECT_USER_PASSWORD", methods="getbalance")
        failed = " ".join(run(TEST).stdout.split())
        assert bad in failed
        assert "INCORRECT_USER_PASSWORD" in failed
    finally:
        run("airflow connections delete afilnet_default")


def test_the_hooks_sentence(afilnet_conn: Callable[..., None], sandbox: Sandbox) -> None:
    (told,) = re.findall(r"`(Signed in at .*)`", section(PAGE, "Testing it"))
    assert AfilnetHook().test_connection() == (True, told.replace("https://www.afilnet.com", sandbox.url))


def test_plain_http_is_for_this_machine_only(afilnet_conn: Callable[..., None]) -> None:
    told = re.findall(r"`(localhost|[\d.:/]+)`", section(PAGE, "TLS"))
    assert told == ["localhost", "127.0.0.0/8", "::1"]
    for host in ("http://localhost", "http://127.9.9.9:1", "http://[::1]"):
        assert read_settings(host=host, login="u", password="p").base_url == host
    with pytest.raises(Exception, match="plain http"):
        read_settings(host="http://example.com", login="u", password="p")
