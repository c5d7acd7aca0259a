"""What Airflow reads about this provider: the connection form, and where operators and the like are.

Airflow reads it in every one of its processes, so it imports nothing.
"""

from __future__ import annotations

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """The provider's metadata, in the form of Airflow's ``provider.yaml``."""
    return {
        "package-name": "airflow-provider-afilnet",
        "name": "Afilnet",
        "description": "Contact groups of `Afilnet <https://www.afilnet.com/>`__ for SMS, e-mail and voice campaigns.",
        "integrations": [
            {
                "integration-name": "Afilnet",
                "external-doc-url": "https://www.afilnet.com/",
                "tags": ["service"],
            }
        ],
        "hooks": [
            {"integration-name": "Afilnet", "python-modules": ["airflow_provider_afilnet.hooks.afilnet"]},
        ],
        "operators": [
            {
                "integration-name": "Afilnet",
                "python-modules": [
                    "airflow_provider_afilnet.operators.contacts",
                    "airflow_provider_afilnet.operators.groups",
                ],
            }
        ],
        "sensors": [
            {"integration-name": "Afilnet", "python-modules": ["airflow_provider_afilnet.sensors.groups"]},
        ],
        "triggers": [
            {"integration-name": "Afilnet", "python-modules": ["airflow_provider_afilnet.triggers.groups"]},
        ],
        "transfers": [
            {
                "source-integration-name": "Common SQL",
                "target-integration-name": "Afilnet",
                "python-module": "airflow_provider_afilnet.transfers.sql_to_afilnet_group",
            }
        ],
        "asset-uris": [
            {
                "schemes": ["afilnet"],
                "handler": "airflow_provider_afilnet.assets.groups.sanitize_uri",
                "factory": "airflow_provider_afilnet.assets.groups.create_asset",
                "to_openlineage_converter": "airflow_provider_afilnet.assets.groups.convert_asset_to_openlineage",
            }
        ],
        "extra-links": [
            "airflow_provider_afilnet.links.afilnet.AfilnetGroupLink",
            "airflow_provider_afilnet.links.afilnet.AfilnetReportLink",
        ],
        "task-decorators": [
            {
                "name": "afilnet_refresh",
                "class-name": "airflow_provider_afilnet.decorators.refresh.afilnet_refresh_task",
            }
        ],
        "config": {
            "afilnet": {
                "description": "Links of the Afilnet operators. Set these where the workers run.",
                "options": {
                    "panel_url_template": {
                        "description": "Address of a group in the Afilnet panel, in which {group_id} becomes the "
                        "group's id. The vendor documents none, so without it the tasks have no such link.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "https://panel.example.com/groups/{group_id}",
                        "default": "",
                    },
                    "report_url_templates": {
                        "description": "How a browser reaches the folders of report_path: JSON that maps the "
                        "beginning of a path to an address, in which {path} becomes the rest of the path.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": '{"s3://reports/": "https://files.example.com/reports/{path}"}',
                        "default": "",
                    },
                },
            }
        },
        "connection-types": [
            {
                "connection-type": "afilnet",
                "hook-class-name": "airflow_provider_afilnet.hooks.afilnet.AfilnetHook",
                "hook-name": "Afilnet",
                "ui-field-behaviour": {
                    # Nothing is hidden: schema and port count, and extra holds what later versions add.
                    "hidden-fields": [],
                    "relabeling": {"login": "Afilnet user", "host": "Base URL", "schema": "Scheme"},
                    "placeholders": {
                        "host": "https://www.afilnet.com (default)",
                        "login": "user or e-mail",
                        "schema": "https, unless the base URL has one",
                        # Airflow 3.3.1 and 3.3.2 refuse to test a saved connection without a port.
                        "port": "443; the test icon of Airflow 3.3 needs one",
                    },
                },
                "conn-fields": {
                    "api_style": {
                        "label": "API style",
                        "description": "How a call is sent. 'get' puts user and password into the URL, where logs and "
                        "caches keep them. 'soap' needs a WSDL URL; 'json' needs a JSON URL, a token URL and, unless "
                        "the grant is 'password', an OAuth client. Default: post.",
                        "schema": {
                            "type": ["string", "null"],
                            "enum": ["post", "get", "basic", "basic-get", "soap", "json"],
                            "default": "post",
                        },
                    },
                    "timeout": {
                        "label": "Time-out (s)",
                        "description": "Seconds to wait for a connection, and for the next byte of an answer. "
                        "Default: 60.",
                        "schema": {"type": ["number", "null"], "exclusiveMinimum": 0, "default": 60},
                    },
                    "max_connections": {
                        "label": "Connections",
                        "description": "Most calls under way at once in a refresh, 1 to 64; fewer while the server is "
                        "overloaded. Default: 4.",
                        "schema": {"type": ["integer", "null"], "minimum": 1, "maximum": 64, "default": 4},
                    },
                    "max_requests_per_second": {
                        "label": "Requests per second",
                        "description": "Highest pace of a refresh; 0 means no limit. Slower when the server refuses. "
                        "Default: 20.",
                        "schema": {"type": ["number", "null"], "minimum": 0, "default": 20},
                    },
                    "ca_bundle": {
                        "label": "CA bundle",
                        "description": "Path of a PEM file on the workers with the certificate authorities to trust, "
                        "where the built-in ones do not do.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "api_facts": {
                        "label": "API facts",
                        "description": "What is known of the service where its documents are silent, as JSON: "
                        "bulk_dedupes, modify_merges, creategroup_returns_id, each true or false.",
                        "schema": {"type": ["string", "null"], "format": "json"},
                    },
                    "allow_insecure_http": {
                        "label": "Allow plain http",
                        "description": "Send the password unencrypted if the base URL, or one of the addresses below, "
                        "begins with http:// and is not this machine.",
                        "schema": {"type": ["boolean", "null"], "default": False},
                    },
                    "wsdl_url": {
                        "label": "WSDL URL",
                        "description": "API style 'soap': the address of the WSDL.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "json_url": {
                        "label": "JSON URL",
                        "description": "API style 'json': the address that takes the calls.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "token_url": {
                        "label": "Token URL",
                        "description": "API style 'json': the address that gives OAuth 2.0 tokens.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "grant_type": {
                        "label": "OAuth grant",
                        "description": "How a token is asked for: by the OAuth client alone, or with Afilnet user and "
                        "password too. Default: client_credentials.",
                        "schema": {
                            "type": ["string", "null"],
                            "enum": ["client_credentials", "password"],
                            "default": "client_credentials",
                        },
                    },
                    "client_id": {
                        "label": "OAuth client id",
                        "description": "Optional with the grant 'password'.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "client_secret": {
                        "label": "OAuth client secret",
                        "description": "Optional with the grant 'password'.",
                        "schema": {"type": ["string", "null"], "format": "password"},
                    },
                    "scope": {
                        "label": "OAuth scope",
                        "description": "Scopes to ask for, parted by blanks. Default: none.",
                        "schema": {"type": ["string", "null"]},
                    },
                },
            }
        ],
    }
