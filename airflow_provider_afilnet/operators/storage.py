"""Paths that users name: on any storage that Airflow knows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_provider_afilnet.api.errors import AfilnetConfigurationError
from airflow_provider_afilnet.hooks.leftovers import is_leftover

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath


def storage_path(path: object, argument: str) -> ObjectStoragePath:
    """Turn text, or a path of the standard library, into an ``ObjectStoragePath`` whose storage can be used.

    :param argument: what the path was given as, named in the error.
    :raises AfilnetConfigurationError: if it is something else, or blank, as a template without a value leaves it; and
        if nothing is installed for its storage.
    """
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    if isinstance(path, os.PathLike) and not isinstance(path, ObjectStoragePath):
        path = os.fspath(path)
    if not isinstance(path, ObjectStoragePath) and (not isinstance(path, str) or is_leftover(path)):
        shown = repr(path) if isinstance(path, str) else type(path).__name__
        raise AfilnetConfigurationError(
            f"{argument} must be a path such as '/tmp/contacts.csv' or 's3://my_conn@bucket/contacts.csv', not {shown}."
        )
    try:
        found = path if isinstance(path, ObjectStoragePath) else ObjectStoragePath(path.strip())
        # The first use tells whether there is something for this scheme.
        found.fs  # noqa: B018
    except (ValueError, ImportError, NotImplementedError) as error:
        raise AfilnetConfigurationError(
            f"{argument} {str(path)!r} is on a storage that cannot be used here ({type(error).__name__}): install the "
            "provider package of that storage, such as apache-airflow-providers-amazon[s3fs], or use another path."
        ) from None
    return found


@contextmanager
def storage_told(path: object, argument: str) -> Iterator[None]:
    """Say in one sentence that the storage has no such operation."""
    try:
        yield
    except (NotImplementedError, ImportError) as error:
        raise AfilnetConfigurationError(
            f"{argument} {str(path)!r} is on a storage that cannot do this ({type(error).__name__}); use another path."
        ) from None
