"""Every error that this package raises about Afilnet, for ``except`` clauses in user code."""

from __future__ import annotations

from airflow_provider_afilnet.api.errors import (
    AfilnetAccessError,
    AfilnetConfigurationError,
    AfilnetConnectionError,
    AfilnetCredentialsError,
    AfilnetError,
    AfilnetExistsError,
    AfilnetInvalidRequestError,
    AfilnetNotFoundError,
    AfilnetOutcomeUnknownError,
    AfilnetRateLimitedError,
    AfilnetServerError,
    AfilnetTooLargeError,
    AfilnetUnprovenReadError,
    AfilnetUnreadableAnswerError,
)
from airflow_provider_afilnet.refresh.errors import (
    AfilnetGuardrailError,
    AfilnetIncompleteError,
    AfilnetLyingReadError,
    AfilnetOptionError,
    AfilnetRefreshError,
    AfilnetReportError,
    AfilnetSourceError,
    AfilnetStoppedError,
)

__all__ = [
    "AfilnetError",
    "AfilnetConfigurationError",
    "AfilnetCredentialsError",
    "AfilnetAccessError",
    "AfilnetNotFoundError",
    "AfilnetExistsError",
    "AfilnetInvalidRequestError",
    "AfilnetTooLargeError",
    "AfilnetRateLimitedError",
    "AfilnetServerError",
    "AfilnetConnectionError",
    "AfilnetUnreadableAnswerError",
    "AfilnetUnprovenReadError",
    "AfilnetOutcomeUnknownError",
    "AfilnetRefreshError",
    "AfilnetOptionError",
    "AfilnetSourceError",
    "AfilnetGuardrailError",
    "AfilnetLyingReadError",
    "AfilnetIncompleteError",
    "AfilnetStoppedError",
    "AfilnetReportError",
]
