"""When Airflow tries again after one of our errors.

Airflow asks a retry policy since 3.3. On every version an operator itself ends a task for good if a retry cannot help,
and lets Airflow's ``retries`` and ``retry_delay`` do the rest.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_afilnet.airflow_versions import RetryDecision, RetryPolicy, lacks_policy
from airflow_provider_afilnet.api.errors import AfilnetError

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context

LONGEST_WAIT: Final = timedelta(days=1)
"""The longest pause that a server may ask for; the task's own ``retry_delay`` may be longer."""


class AfilnetRetryPolicy(RetryPolicy):
    """Fail at once where a retry cannot help, and wait at least as long as the server asked to (``Retry-After``).

    The operators of this package have it unless they are given another. For a ``@task`` that uses
    :class:`~airflow_provider_afilnet.hooks.afilnet.AfilnetHook` give it as ``retry_policy``, which Airflow takes since
    3.3. Other errors are Airflow's business. It never retries more often than the task's ``retries`` say.
    """

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        """What to do after an error.

        :param exception: what ended the try.
        :param try_number: 1 for the first.
        :param max_tries: how many there may be.
        :param context: of the task, whose delay counts.
        """
        if not isinstance(exception, AfilnetError):
            return RetryDecision.default()
        kind = type(exception).__name__
        if not exception.retryable:
            return RetryDecision.fail(f"{kind}: a retry cannot help")
        asked = exception.retry_after
        if asked is None:
            return RetryDecision.default()
        # The task's own delay, where it is longer, keeps what Airflow adds to it.
        delay = min(timedelta(seconds=asked), LONGEST_WAIT)
        if delay <= _own_delay(context, try_number):
            return RetryDecision.default()
        return RetryDecision.retry(delay, f"{kind}: the server asked to wait {asked:g} s")


def _own_delay(context: Context | None, try_number: int) -> timedelta:
    task: Any = None if context is None else context.get("task")
    delay: timedelta = getattr(task, "retry_delay", None) or timedelta()
    factor = float(getattr(task, "retry_exponential_backoff", 0) or 1)
    longest: timedelta | None = getattr(task, "max_retry_delay", None)
    # More tries than this would only overflow.
    grown = min(delay.total_seconds() * factor ** min(try_number - 1, 64), LONGEST_WAIT.total_seconds())
    return min(timedelta(seconds=grown), longest or LONGEST_WAIT)


def give_policy(operator: BaseOperator) -> None:
    """Let Airflow ask our policy about this operator's errors, unless it was given one, or knows none."""
    if lacks_policy(operator):
        operator.retry_policy = AfilnetRetryPolicy()
