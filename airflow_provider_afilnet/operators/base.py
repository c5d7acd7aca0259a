"""What all operators share: the connection, the hook, and how an error ends a task."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowTaskTimeout,
    BaseOperator,
    BaseOperatorLink,
)

from airflow_provider_afilnet.api.errors import AfilnetError
from airflow_provider_afilnet.hooks.afilnet import AfilnetHook
from airflow_provider_afilnet.hooks.leftovers import is_leftover
from airflow_provider_afilnet.links.afilnet import AfilnetGroupLink
from airflow_provider_afilnet.retries import give_policy

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class AfilnetBaseOperator(BaseOperator):
    """Base of the Afilnet operators: :meth:`execute` runs :meth:`work`, ends errors as they deserve, closes the hook.

    An error that a repeat cannot help ends the task at once, whatever ``retries`` says; any other is raised as it is,
    so that Airflow retries, where it knows retry policies (3.3) as :class:`AfilnetRetryPolicy` says, unless the task
    has another. A task that is told to end while a call is under way ends the call and is not green. One that would do
    its work twice if it were repeated is not retried after its ``execution_timeout`` either.

    :param afilnet_conn_id: id of the Airflow connection.
    """

    template_fields: Sequence[str] = ("afilnet_conn_id",)
    operator_extra_links: Collection[BaseOperatorLink] = (AfilnetGroupLink(),)

    _given: frozenset[str] = frozenset()
    _killed = False

    def __init__(self, *, afilnet_conn_id: str = AfilnetHook.default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.afilnet_conn_id = afilnet_conn_id
        give_policy(self)

    @cached_property
    def hook(self) -> AfilnetHook:
        """The hook of the connection."""
        return AfilnetHook(self.afilnet_conn_id)

    def execute(self, context: Context) -> Any:
        """Do the operator's work.

        :raises AirflowFailException: for an error that a retry cannot help; its cause is the typed error, and its
            ``result`` that error's: the counts of a refresh, as far as they are known, or ``None``.
        :raises AfilnetError: for an error that may pass.
        """
        with ending_for_good():
            try:
                result = self.work(context)
            except AirflowTaskTimeout as timeout:
                if self.may_repeat():
                    raise
                raise AirflowFailException(
                    "The task's execution_timeout ended its call. The call may have been applied, and a retry could do "
                    "it twice, so there is none: look in the Afilnet panel before you run the task again."
                ) from timeout
            finally:
                self.hook.close()
            self._end_if_killed(result)
            return result

    def on_kill(self) -> None:
        """Let the task fail: Airflow takes a normal return for success, also after it has told the task to end."""
        self._killed = True

    def may_repeat(self) -> bool:
        """Whether a retry after work that was done can do no harm."""
        return True

    def _end_if_killed(self, result: object = None) -> None:
        if not self._killed:
            return
        if not self.may_repeat():
            raise AirflowFailException(
                f"The task was told to end when its call was under way. The call was applied (result: {result!r}), and "
                "a retry would do it twice, so there is none."
            )
        from airflow_provider_afilnet.refresh.errors import AfilnetStoppedError

        raise AfilnetStoppedError("The task was told to end; the next run of the task carries on.")

    def _remember_given(self, *names: str) -> None:
        """Note which of these optional arguments the user gave, before templates are rendered."""
        self._given = frozenset(name for name in names if getattr(self, name) is not None)

    def _check_not_lost(self, name: str, error: type[AfilnetError], loss: str) -> None:
        """Refuse an argument that was given and has no value now: going on would be as if nobody had asked for it.

        :param loss: what would be missing then.
        """
        if name in self._given and is_leftover(getattr(self, name)):
            raise error(
                f"{name} was given, but has no value in this run ({getattr(self, name)!r}), and without it {loss}. "
                "Check the task or the template that it comes from."
            )

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
        failure = AirflowFailException(str(error))
        # A callback or a notifier is given this error, and may tell the counts.
        failure.result = error.result  # type: ignore[attr-defined]
        raise failure from error
