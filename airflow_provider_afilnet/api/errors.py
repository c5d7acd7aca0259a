"""Typed errors of the Contacts API: one root, one class per cause.

Every error carries what a caller needs to decide: Afilnet's ``code``, the ``http_status``, the API ``method``, whether
the same call may be ``retryable`` later, and ``retry_after`` (seconds) where the server named a pause. No message holds
a password, a token, a phone or an e-mail.
"""

from __future__ import annotations

from typing import Any, Self


class AfilnetError(Exception):
    """Root of everything this package raises about Afilnet.

    :param message: one sentence for the reader.
    :param code: Afilnet's error code in upper case, if the answer had one.
    :param http_status: status of the HTTP answer, if there was one.
    :param method: name of the API method that was called.
    :param retryable: whether the same call may succeed later, and may be sent again without harm.
    :param retry_after: seconds that the server asked to wait.

    ``result``: the counts of the refresh that ended with this error, as far as they are known; ``None`` elsewhere.
    ``timed_out``: no answer came within the connection's ``timeout``.
    """

    default_retryable = False
    result: Any = None
    timed_out: bool = False

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        http_status: int | None = None,
        method: str | None = None,
        retryable: bool | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.http_status = http_status
        self.method = method
        self.retryable = self.default_retryable if retryable is None else retryable
        self.retry_after = retry_after

    def saying(self, message: str) -> Self:
        """The same error in other words."""
        return type(self)(
            message,
            code=self.code,
            http_status=self.http_status,
            method=self.method,
            retryable=self.retryable,
            retry_after=self.retry_after,
        )


class AfilnetConfigurationError(AfilnetError):
    """The connection's settings cannot be used as they are; nothing was sent."""


class AfilnetCredentialsError(AfilnetError):
    """User or password are missing or wrong."""


class AfilnetAccessError(AfilnetError):
    """The account has no access to this group: it does not exist, or belongs to somebody else."""


class AfilnetNotFoundError(AfilnetError):
    """The named contact or country does not exist."""


class AfilnetExistsError(AfilnetError):
    """What was to be created is there already."""


class AfilnetInvalidRequestError(AfilnetError):
    """Afilnet refused the request, or it could not be built: sending it again unchanged cannot help."""


class AfilnetTooLargeError(AfilnetInvalidRequestError):
    """The request is larger than the server, or the GET style, can take."""


class AfilnetRateLimitedError(AfilnetError):
    """Too many requests: nothing was applied; wait ``retry_after`` seconds if given."""

    default_retryable = True


class AfilnetServerError(AfilnetError):
    """The server failed while it answered a call that writes nothing."""

    default_retryable = True


class AfilnetConnectionError(AfilnetError):
    """The server could not be reached, or the line broke: the call certainly changed nothing."""

    default_retryable = True


class AfilnetUnreadableAnswerError(AfilnetError):
    """The answer has a form that is not known. The message shows its shape, never its values."""


class AfilnetUnprovenReadError(AfilnetUnreadableAnswerError):
    """``getcontacts`` succeeded with a null or absent result: that is no proof of an empty group. It may pass."""

    default_retryable = True


class AfilnetOutcomeUnknownError(AfilnetError):
    """The request was sent and may have been applied, but no clear answer came back.

    ``retryable`` is true only for methods that do no harm when they are repeated.
    """
