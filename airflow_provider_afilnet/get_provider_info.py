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
                        "port": "unless the base URL has one",
                    },
                },
                "conn-fields": {
                    "api_style": {
                        "label": "API style",
                        "description": "How a call is sent. 'get' puts user and password into the URL, where logs and "
                        "caches keep them. Default: post.",
                        "schema": {
                            "type": ["string", "null"],
                            "enum": ["post", "get", "basic", "basic-get"],
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
                        "description": "Calls under way at once in a refresh, 1 to 64. Default: 4.",
                        "schema": {"type": ["integer", "null"], "minimum": 1, "maximum": 64, "default": 4},
                    },
                    "max_requests_per_second": {
                        "label": "Requests per second",
                        "description": "Pace of a refresh; 0 means no limit. Default: 20.",
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
                        "description": "Send the password unencrypted if the base URL begins with http:// and is not "
                        "this machine.",
                        "schema": {"type": ["boolean", "null"], "default": False},
                    },
                },
            }
        ],
    }
