"""Paths that users name: on any storage that Airflow knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_afilnet.api.errors import AfilnetConfigurationError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath


def storage_path(path: object, argument: str) -> ObjectStoragePath:
    """Turn text into an ``ObjectStoragePath``; one is returned as it is.

    :param argument: what the path was given as, named in the error.
    :raises AfilnetConfigurationError: if it is neither, or blank, as a template without a value leaves it.
    """
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    if isinstance(path, ObjectStoragePath):
        return path
    if not isinstance(path, str) or not path.strip() or path == "None":
        shown = repr(path) if isinstance(path, str) else type(path).__name__
        raise AfilnetConfigurationError(
            f"{argument} must be a path such as '/tmp/contacts.csv' or 's3://my_conn@bucket/contacts.csv', not {shown}."
        )
    return ObjectStoragePath(path.strip())
