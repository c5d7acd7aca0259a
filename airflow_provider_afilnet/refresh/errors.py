"""What can end a refresh. All are :class:`~airflow_provider_afilnet.api.errors.AfilnetError`; most forbid a retry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_afilnet.api.errors import AfilnetError

if TYPE_CHECKING:
    from airflow_provider_afilnet.refresh.report import RefreshResult


class AfilnetRefreshError(AfilnetError):
    """Root of the refresh errors.

    ``result`` holds the counts as far as they are known when the refresh got as far as counting; it is set by the
    engine, so that a failure callback can report them.
    """

    result: RefreshResult | None = None


class AfilnetOptionError(AfilnetRefreshError):
    """A refresh option has a value that cannot be used; nothing was read or written."""


class AfilnetSourceError(AfilnetRefreshError):
    """The source cannot be sent as it is; nothing was written."""


class AfilnetGuardrailError(AfilnetRefreshError):
    """The plan looks like an accident; what was planned now is not written."""


class AfilnetLyingReadError(AfilnetRefreshError):
    """The group as it was read cannot be true, so nothing more is written."""


class AfilnetIncompleteError(AfilnetRefreshError):
    """The refresh ended and the group still differs from what was wanted; the message says where and why."""


class AfilnetStoppedError(AfilnetRefreshError):
    """The refresh was told to stop before it ended; the next run carries on."""

    default_retryable = True
