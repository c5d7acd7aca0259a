"""The id of a group as it is typed."""

from __future__ import annotations

import click

from airflow_provider_afilnet.api.errors import AfilnetInvalidRequestError


def read_group_id(text: str, what: str) -> str:
    """The id.

    :param what: the argument or option, named in the error.
    :raises click.UsageError: if it is none.
    """
    from airflow_provider_afilnet.api.calls import record_id

    try:
        return record_id(text, what)
    except AfilnetInvalidRequestError as error:
        raise click.UsageError(str(error)) from None
