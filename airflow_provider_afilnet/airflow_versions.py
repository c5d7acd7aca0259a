"""What differs between the versions of Airflow that this package works with: the one place that knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.sdk import RetryDecision, RetryPolicy
else:
    try:
        from airflow.sdk import RetryDecision, RetryPolicy
    except ImportError:  # before 3.3 Airflow asks no policy
        RetryDecision, RetryPolicy = None, object

__all__ = ["PushedByItself", "RetryDecision", "RetryPolicy"]


class PushedByItself:
    """Mixed into a decorated operator: before 3.2 Airflow asks it for ``xcom_push``, which no other operator has."""

    do_xcom_push: bool

    @property
    def xcom_push(self) -> bool:
        return self.do_xcom_push
