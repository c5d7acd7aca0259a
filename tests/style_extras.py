"""What an Airflow connection to a sandbox needs among its extras for each style of call."""

from __future__ import annotations

from typing import Any

from airflow_provider_afilnet.sandbox import Sandbox

CLIENT_SECRET = "cl1ent-s3cret-Zaragoza-78"
"""Distinctive, so that it can be searched for in everything that a task leaves behind."""


def style_extras(sandbox: Sandbox, style: str) -> dict[str, Any]:
    """The extras of the style. For ``json`` the account gets an OAuth client."""
    if style == "soap":
        return {"api_style": style, "wsdl_url": f"{sandbox.url}/soap?wsdl"}
    if style == "json":
        sandbox.add_client(sandbox.user, "an-id", CLIENT_SECRET)
        addresses = {"json_url": f"{sandbox.url}/api/json/", "token_url": f"{sandbox.url}/oauth/token"}
        return {"api_style": style, **addresses, "client_id": "an-id", "client_secret": CLIENT_SECRET}
    return {"api_style": style}
