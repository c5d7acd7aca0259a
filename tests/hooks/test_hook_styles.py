"""The hook in the styles that have more secrets than a password."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from airflow_of import redact

from airflow_provider_afilnet.hooks.afilnet import AfilnetHook
from airflow_provider_afilnet.sandbox import Sandbox

SECRET = "cl1ent-s3cret-nobody-knows"


@pytest.fixture
def extras(sandbox: Sandbox) -> dict[str, dict[str, Any]]:
    sandbox.add_client(sandbox.user, "an-id", SECRET)
    url = sandbox.url
    return {
        "soap": {"api_style": "soap", "wsdl_url": f"{url}/soap?wsdl"},
        "json": {
            "api_style": "json",
            "json_url": f"{url}/api/json/",
            "token_url": f"{url}/oauth/token",
            "client_id": "an-id",
            "client_secret": SECRET,
        },
    }


@pytest.mark.parametrize("style", ["soap", "json"])
def test_the_hook_calls(
    afilnet_conn: Callable[..., None], sandbox: Sandbox, extras: dict[str, dict[str, Any]], style: str
) -> None:
    afilnet_conn(extra=extras[style])
    group = sandbox.create_group("g", "mobile", ["mobile", "name"], [{"mobile": "34600111222", "name": "Ana"}])
    with AfilnetHook() as hook:
        assert hook.get_contacts(group) == sandbox.contacts(group)
        assert hook.group_exists(group)
        assert not hook.group_exists("9")
        worked, sentence = hook.test_connection()
        assert (worked, sentence) == (True, f"Signed in at {sandbox.url}; the account has 25.5 credits.")
        assert SECRET not in f"{hook.settings!r} {vars(hook)!r}"
    assert {call.style for call in sandbox.calls} == {style}


def test_a_client_needs_no_login(afilnet_conn: Callable[..., None], extras: dict[str, dict[str, Any]]) -> None:
    afilnet_conn(extra=extras["json"], login=None, password=None)
    assert AfilnetHook().get_balance() == 25.5


def test_the_clients_secret_is_masked_as_the_password_is(
    afilnet_conn: Callable[..., None], extras: dict[str, dict[str, Any]]
) -> None:
    afilnet_conn(extra=extras["json"])
    assert AfilnetHook().settings.client_secret == SECRET
    assert SECRET not in str(redact(f"the secret is {SECRET}."))
