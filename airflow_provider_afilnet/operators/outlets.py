"""What a refresh tells the Assets that its task names as outlets."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AssetAlias

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

log = logging.getLogger(__name__)


def tell_outlets(context: Context, outlets: Iterable[Any], result: Mapping[str, Any]) -> None:
    """Put the counts, the plan's digest and the report's path into the events of the outlets. Nothing fails here.

    The event of an Asset gets them. An ``AssetAlias`` gets an event of the group's own Asset, ``afilnet://group/<id>``,
    unless nothing was to be written (``dry_run``).

    :param outlets: of the task; Airflow keeps only events of these.
    :param result: of the refresh, as for XCom.
    """
    for outlet in outlets:
        try:
            if not isinstance(outlet, AssetAlias):
                context["outlet_events"][outlet].extra = dict(result)
            elif not result["dry_run"]:
                from airflow_provider_afilnet.assets.groups import create_asset

                asset = create_asset(group_id=result["group_id"])
                context["outlet_events"][outlet].add(asset, extra=dict(result))
        except Exception as error:  # noqa: BLE001 - the group is right already; an event must not turn it red
            log.warning("The event of %s could not be given the counts: %s.", outlet, type(error).__name__)
