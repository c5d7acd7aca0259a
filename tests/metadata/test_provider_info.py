"""What Airflow reads about the provider, checked by Airflow's own schemas and its own discovery."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import airflow
import jsonschema
from airflow_of import LABELLED_FORM, supplied_by_providers

from airflow_provider_afilnet.api.settings import ClientSettings, read_settings
from airflow_provider_afilnet.get_provider_info import get_provider_info
from airflow_provider_afilnet.hooks.afilnet import AfilnetHook

INFO = get_provider_info()
(CONNECTION,) = INFO["connection-types"]


def schema(name: str) -> dict[str, Any]:
    return json.loads((Path(airflow.__file__).parent / name).read_text())


def test_info_fits_the_runtime_schema() -> None:
    jsonschema.validate(INFO, schema("provider_info.schema.json"))


def test_every_part_fits_the_full_schema() -> None:
    """The runtime schema ignores the connection form; this one checks it, and every other part that it knows."""
    full = schema("provider.yaml.schema.json")
    parts, definitions = full["properties"], full.get("definitions", {})
    assert set(INFO) <= set(parts)
    for name, value in INFO.items():
        if name not in ("package-name", "name", "description"):
            jsonschema.validate(value, {**parts[name], "definitions": definitions})


def test_airflow_discovers_the_provider() -> None:
    from airflow.providers_manager import ProvidersManager

    assert ProvidersManager().providers["airflow-provider-afilnet"].data["name"] == "Afilnet"


def test_airflow_discovers_links_decorator_and_settings() -> None:
    from airflow.providers.common.compat.sdk import conf
    from airflow.providers_manager import ProvidersManager
    from airflow.sdk import task

    assert set(INFO["extra-links"]) <= set(ProvidersManager().extra_links_class_names)
    assert task.afilnet_refresh.__module__ == "airflow_provider_afilnet.decorators.refresh"
    assert set(INFO["config"]["afilnet"]["options"]) == {"panel_url_template", "report_url_templates"}
    # As every command of Airflow does first; it formats every default, so a brace in one would break each of them.
    ProvidersManager().initialize_providers_configuration()
    for option in INFO["config"]["afilnet"]["options"]:
        assert conf.get("afilnet", option) == ""


def test_airflow_discovers_the_connection_type() -> None:
    hook = supplied_by_providers().hooks["afilnet"]
    assert hook is not None
    assert (hook.hook_class_name, hook.hook_name, hook.connection_id_attribute_name) == (
        "airflow_provider_afilnet.hooks.afilnet.AfilnetHook",
        "Afilnet",
        "afilnet_conn_id",
    )


def test_the_form_that_airflow_shows() -> None:
    from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService

    (form,) = [one for one in HookMetaService.hook_meta_data() if one.connection_type == "afilnet"]
    assert form.hook_name == "Afilnet"
    if LABELLED_FORM:
        assert form.standard_fields.host.title == "Base URL"
        assert set(form.extra_fields) == set(CONNECTION["conn-fields"])
    else:
        assert (form.standard_fields, form.extra_fields) == (None, None)


def test_a_connection_gives_our_hook(afilnet_conn: object) -> None:
    from airflow.providers.common.compat.sdk import BaseHook

    hook = BaseHook.get_connection("afilnet_default").get_hook()
    assert isinstance(hook, AfilnetHook)


def test_hook_and_metadata_agree() -> None:
    assert CONNECTION["connection-type"] == AfilnetHook.conn_type
    assert CONNECTION["hook-name"] == AfilnetHook.hook_name
    assert CONNECTION["hook-class-name"] == f"{AfilnetHook.__module__}.{AfilnetHook.__name__}"


def test_every_module_that_is_named_can_be_imported_and_defines_classes() -> None:
    modules = [
        name for kind in ("hooks", "operators", "sensors", "triggers") for name in INFO[kind][0]["python-modules"]
    ]
    modules += [transfer["python-module"] for transfer in INFO["transfers"]]
    modules += [link.rpartition(".")[0] for link in INFO["extra-links"]]
    for name in modules:
        module = import_module(name)
        assert any(
            getattr(item, "__module__", None) == name for item in vars(module).values() if isinstance(item, type)
        )


def test_the_form_has_every_extra_that_works_now() -> None:
    from airflow_provider_afilnet.api.settings import WORKING_EXTRAS

    assert set(CONNECTION["conn-fields"]) == set(WORKING_EXTRAS)


def test_the_forms_defaults_are_those_of_the_settings() -> None:
    fields = CONNECTION["conn-fields"]
    defaults = {name: field["schema"]["default"] for name, field in fields.items() if "default" in field["schema"]}
    login = {"host": None, "login": "u", "password": "p"}
    assert read_settings(**login, extra=defaults) == read_settings(**login) == ClientSettings("u", "p")  # type: ignore[arg-type]


def test_a_form_that_was_left_empty_is_accepted() -> None:
    """The form stores null for every field that was not filled in."""
    empty = dict.fromkeys(CONNECTION["conn-fields"])
    assert read_settings(host="", schema="", login="u", password="p", extra=empty) == ClientSettings("u", "p")
