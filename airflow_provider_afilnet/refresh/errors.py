"""What can end a refresh. All are :class:`~airflow_provider_afilnet.api.errors.AfilnetError`; most forbid a retry."""

from __future__ import annotations

from airflow_provider_afilnet.api.errors import AfilnetError


class AfilnetRefreshError(AfilnetError):
    """Root of the refresh errors."""


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


class AfilnetReportError(AfilnetRefreshError):
    """A file of the report cannot be written. The next run reads the group and carries on."""

    default_retryable = True
