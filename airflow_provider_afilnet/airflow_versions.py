"""What differs between the versions of Airflow that this package works with: the one place that knows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowException, AirflowSkipException

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context
    from airflow.sdk import RetryDecision, RetryPolicy
else:
    try:
        from airflow.sdk import RetryDecision, RetryPolicy
    except ImportError:  # before 3.3 Airflow asks no policy
        RetryDecision, RetryPolicy = None, object

__all__ = [
    "KeptPaths",
    "PushedByItself",
    "RetryDecision",
    "RetryPolicy",
    "SkippedAfterDeferral",
    "lacks_policy",
    "without_locals",
]


def lacks_policy(operator: Any) -> bool:
    """Whether Airflow asks a retry policy about this operator's errors, which it does since 3.3, and it has none."""
    return getattr(operator, "retry_policy", operator) is None


class PushedByItself:
    """Mixed into a decorated operator: before 3.2 Airflow asks it for ``xcom_push``, which no other operator has."""

    do_xcom_push: bool

    @property
    def xcom_push(self) -> bool:
        return self.do_xcom_push


class KeptPaths:
    """Mixed into an operator: Airflow 3.0 takes a ``pathlib.Path`` for something of its own that it must resolve."""

    def render_template(self, content: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(content, os.PathLike):
            from airflow.providers.common.compat.sdk import ObjectStoragePath

            if not isinstance(content, ObjectStoragePath):
                return content
        return super().render_template(content, *args, **kwargs)  # type: ignore[misc]


class SkippedAfterDeferral:
    """Mixed into a sensor: Airflow 3.0 forgets ``never_fail`` after a deferral, and ``soft_fail`` after a time-out."""

    soft_fail: bool
    never_fail: bool

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        try:
            return super().resume_execution(next_method, next_kwargs, context)  # type: ignore[misc]
        except AirflowSkipException:
            raise
        except AirflowException as error:
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(f"Skipped, because the wait failed: {error}") from error
            raise


@contextmanager
def without_locals() -> Iterator[None]:
    """Let an error leave without the variables of the calls that it ends: they may hold people.

    On a console Airflow 3.0 prints them beside every traceback.
    """
    try:
        yield
    except BaseException as error:
        _clear(error)
        raise


def _clear(error: BaseException) -> None:
    # Not needed before there is an error, and every process imports this module.
    from traceback import clear_frames

    seen: set[int] = set()
    chained: list[BaseException | None] = [error]
    while chained:
        link = chained.pop()
        if link is not None and id(link) not in seen:
            seen.add(id(link))
            clear_frames(link.__traceback__)
            chained += [link.__cause__, link.__context__]
