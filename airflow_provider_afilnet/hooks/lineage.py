"""What a refresh read and wrote, for Airflow's hook lineage."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit, urlunsplit

from airflow_provider_afilnet.assets.groups import group_uri

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import HookLineageCollector

    from airflow_provider_afilnet.hooks.afilnet import AfilnetHook

log = logging.getLogger(__name__)


def connection_uri(conn_id: str) -> str:
    """The URI of an Airflow connection as a source. Which tables a query reads is not known, so it names none."""
    return f"x-airflow-connection://{quote(conn_id, safe='')}"


def path_uri(path: object) -> str:
    """The URI of a file as a source, without what an address may hold of an account."""
    parts = urlsplit(str(path).strip())
    if not parts.scheme:
        return Path(parts.geturl()).absolute().as_uri()
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def tell_lineage(hook: AfilnetHook, group_id: str, sources: Iterable[str]) -> None:
    """Hand sources and group to Airflow's collector, if anybody reads it. Never fails: the work is done.

    No query, no parameter and no row is handed over: they may hold people.

    :param hook: the hook that wrote.
    :param group_id: the group that was written to.
    :param sources: URIs of what was read.
    """
    try:
        from airflow.providers.common.compat.lineage.hook import get_hook_lineage_collector

        collector: HookLineageCollector = get_hook_lineage_collector()  # type: ignore[no-untyped-call]
        for uri in sources:
            collector.add_input_asset(context=hook, uri=uri)
        collector.add_output_asset(context=hook, uri=group_uri(group_id))
    except Exception as error:  # noqa: BLE001 - the group is right already; a collector must not turn it red
        log.warning("The lineage of group %s could not be told: %s.", group_id, type(error).__name__)
