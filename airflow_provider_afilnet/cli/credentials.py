"""Who signs in, and where: from the environment or a prompt. No option takes a secret, as process lists show them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

import click

from airflow_provider_afilnet.api.errors import AfilnetConfigurationError
from airflow_provider_afilnet.api.settings import ClientSettings, read_settings
from airflow_provider_afilnet.cli.airflow_connection import read_connection, read_extra

_DEFAULT = "afilnet_default"
_OWN = ("AFILNET_USER", "AFILNET_PASSWORD")
_ALL_OWN = (*_OWN, "AFILNET_HOST", "AFILNET_EXTRA")

connection_option: Callable[[Callable[..., None]], Callable[..., None]] = click.option(
    "--connection",
    metavar="NAME",
    help="Airflow connection to use, from the environment variable AIRFLOW_CONN_<NAME>, as JSON or URI.  "
    f"[default: {_DEFAULT}, if it is there, or AFILNET_USER, AFILNET_PASSWORD, AFILNET_HOST and AFILNET_EXTRA; "
    "else a prompt]",
)
"""The option that all commands with an account have."""


def find_settings(connection: str | None, environment: Mapping[str, str] = os.environ) -> tuple[ClientSettings, str]:
    """The settings of the account, and in a few words where they came from.

    :param connection: what the user named; ``None`` looks for the default.
    :raises AfilnetConfigurationError: if there are none, if the default connection and variables of our own are both
        there, so that either account may be meant, or if they cannot be used.
    """
    variable = f"AIRFLOW_CONN_{(connection or _DEFAULT).upper()}"
    if environment.get(variable, "").strip():
        own = next((name for name in _ALL_OWN if environment.get(name)), None)
        if connection is None and own:
            raise AfilnetConfigurationError(
                f"Both {variable} and {own} are in the environment, and they may be different accounts: name the "
                f"connection with --connection {_DEFAULT}, or unset {variable}."
            )
        name = f"Connection {(connection or _DEFAULT)!r}"
        fields = read_connection(environment[variable], name)
        return read_settings(**fields._asdict(), name=name), variable
    if connection is not None:
        raise AfilnetConfigurationError(
            f"There is no connection {connection!r} in the environment: export {variable} as JSON or URI (this command "
            "does not read Airflow's database)."
        )
    extra = read_extra(environment.get("AFILNET_EXTRA"), "AFILNET_EXTRA")
    if any(environment.get(name) for name in _OWN) or _is_client(extra) or sys.stdin.isatty():
        return _own(environment, extra)
    raise AfilnetConfigurationError(
        f"There are no credentials: export {variable}, or AFILNET_USER and AFILNET_PASSWORD, or run this on a "
        "terminal, which asks for them."
    )


def _is_client(extra: Mapping[str, Any]) -> bool:
    """Whether an OAuth client signs in, without any user; if part of it is missing, reading the settings tells what."""
    return (
        extra.get("api_style") == "json" and (extra.get("grant_type") or "client_credentials") == "client_credentials"
    )


def _own(environment: Mapping[str, str], extra: Mapping[str, Any]) -> tuple[ClientSettings, str]:
    user, password = (environment.get(name) for name in _OWN)
    by_client = _is_client(extra)
    asked = not (user and password) and not by_client and sys.stdin.isatty()
    if asked:
        user = user or click.prompt("Afilnet user", err=True)
        password = password or click.prompt("Afilnet password", hide_input=True, err=True)
    settings = read_settings(
        host=environment.get("AFILNET_HOST"),
        login=user,
        password=password,
        extra=extra,
        name="The environment (AFILNET_USER, AFILNET_PASSWORD, AFILNET_HOST, AFILNET_EXTRA)",
    )
    return settings, "the prompt" if asked else "AFILNET_EXTRA" if by_client else "AFILNET_USER"
