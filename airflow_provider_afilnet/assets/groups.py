"""The Asset of a group: ``afilnet://group/<id>``.

Airflow loads this module in every process that meets an Asset, so it imports nothing of Airflow at its top.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import SplitResult, quote, unquote, urlsplit

from airflow_provider_afilnet.api.calls import record_id
from airflow_provider_afilnet.api.errors import AfilnetInvalidRequestError

if TYPE_CHECKING:
    from airflow.providers.common.compat.openlineage.facet import Dataset
    from airflow.providers.common.compat.sdk import Asset

SCHEME: Final = "afilnet"
_GROUP: Final = "group"


def group_uri(group_id: str | int) -> str:
    """The URI of a group's Asset, such as ``afilnet://group/1000``.

    :param group_id: the group.
    :raises AfilnetInvalidRequestError: if it is no id.
    """
    return f"{SCHEME}://{_GROUP}/{quote(record_id(group_id, 'group_id'), safe='')}"


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """Check a URI of the scheme ``afilnet`` and give it its one form; Airflow calls it for every such Asset.

    :raises ValueError: if it is not ``afilnet://group/<id>``. Airflow does not render templates in an Asset, so one
        that stands for the id is refused too.
    """
    written = unquote(uri.path.removeprefix("/"))
    try:
        group_id = record_id(written, "the group in the URI")
    except AfilnetInvalidRequestError:
        group_id = ""
    if uri.netloc.lower() != _GROUP or not group_id or uri.query or any(ch in " /{}" for ch in group_id):
        raise ValueError(
            f"The URI of an Afilnet group is afilnet://group/<id>, such as afilnet://group/1000, not {uri.geturl()!r}. "
            "For a group whose id is not known yet use an AssetAlias."
        )
    return uri._replace(scheme=SCHEME, netloc=_GROUP, path="/" + quote(group_id, safe=""))


def create_asset(*, group_id: str | int, extra: dict[str, Any] | None = None) -> Asset:
    """The Asset of a group; its name is its URI.

    :param group_id: the group.
    :param extra: what the Asset carries.
    """
    from airflow.providers.common.compat.sdk import Asset

    return Asset(uri=group_uri(group_id), extra=extra)


def convert_asset_to_openlineage(asset: Asset, lineage_context: Any) -> Dataset:
    """The group as OpenLineage names it: namespace ``afilnet``, name ``group/<id>``.

    :param lineage_context: the hook that reported the Asset.
    """
    from airflow.providers.common.compat.openlineage.facet import Dataset

    parts = urlsplit(asset.uri)
    return Dataset(namespace=SCHEME, name=f"{parts.netloc}{parts.path}")
