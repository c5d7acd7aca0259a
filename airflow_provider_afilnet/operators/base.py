"""What all operators share: the connection, the hook, and how an error ends a task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator

from airflow_provider_afilnet.api.errors import AfilnetError
from airflow_provider_afilnet.hooks.afilnet import AfilnetHook

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class AfilnetBaseOperator(BaseOperator):
    """Base of the Afilnet operators: :meth:`execute` runs :meth:`work`, ends errors as they deserve, closes the hook.

    An error that a repeat cannot help ends the task at once, whatever ``retries`` says; any other is raised as it is,
    so that Airflow retries.

    :param afilnet_conn_id: id of the Airflow connection.
    """

    template_fields: Sequence[str] = ("afilnet_conn_id",)

    def __init__(self, *, afilnet_conn_id: str = AfilnetHook.default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.afilnet_conn_id = afilnet_conn_id

    @cached_property
    def hook(self) -> AfilnetHook:
        """The hook of the connection."""
        return AfilnetHook(self.afilnet_conn_id)

    def execute(self, context: Context) -> Any:
        """Do the operator's work.

        :raises AirflowFailException: for an error that a retry cannot help; its cause is the typed error.
        :raises AfilnetError: for an error that may pass.
        """
        with ending_for_good():
            try:
                return self.work(context)
            finally:
                self.hook.close()

    def work(self, context: Context) -> Any:
        """What the operator does; its return value goes to XCom."""
        raise NotImplementedError


@contextmanager
def ending_for_good() -> Iterator[None]:
    """Turn typed errors that a retry cannot help into the exception that ends a task without retries."""
    try:
        yield
    except AfilnetError as error:
        if error.retryable:
            raise
        raise AirflowFailException(str(error)) from error
