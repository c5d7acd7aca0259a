"""What the sensors share: one look at a time, and the polling decision after it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    BaseOperatorLink,
    BaseSensorOperator,
    PokeReturnValue,
)

from airflow_provider_afilnet.airflow_versions import SkippedAfterDeferral, without_locals
from airflow_provider_afilnet.api.errors import AfilnetError
from airflow_provider_afilnet.hooks.afilnet import AfilnetHook
from airflow_provider_afilnet.links.afilnet import AfilnetGroupLink
from airflow_provider_afilnet.triggers.polling import Fail, Polling, Wait

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class AfilnetBaseSensor(SkippedAfterDeferral, BaseSensorOperator):
    """Base of the Afilnet sensors.

    An error that may pass (no connection, HTTP 429 or 5xx) is a look that tells nothing: the next one comes after a
    pause that grows, and a ``Retry-After`` is obeyed. An error that cannot pass ends the task at once without retries,
    and so does the time-out. ``soft_fail`` turns both into skipped. A sensor that is told to end is not green.

    :param afilnet_conn_id: id of the Airflow connection.
    """

    template_fields: Sequence[str] = ("afilnet_conn_id",)
    operator_extra_links: Collection[BaseOperatorLink] = (AfilnetGroupLink(),)

    _polling: Polling | None = None
    _next_wait: float | None = None
    _killed = False

    def __init__(self, *, afilnet_conn_id: str = AfilnetHook.default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.afilnet_conn_id = afilnet_conn_id

    @cached_property
    def hook(self) -> AfilnetHook:
        """The hook of the connection."""
        return AfilnetHook(self.afilnet_conn_id)

    def look(self) -> PokeReturnValue:
        """Whether what is waited for is there, by one read, and what goes to XCom then.

        :raises AfilnetError: if the read did not tell.
        """
        raise NotImplementedError

    def execute(self, context: Context) -> Any:
        """Wait by poking or rescheduling."""
        try:
            self._polling = self._begin(context)
            return super().execute(context)
        finally:
            self.hook.close()

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once.

        :raises AirflowSensorTimeout: if the deadline passed.
        :raises AirflowFailException: for an error that cannot pass.
        """
        if self._polling is None:
            self._polling = self._begin(context)
        seen = PokeReturnValue(is_done=False)
        outcome: bool | AfilnetError
        try:
            with without_locals():
                seen = self.look()
            outcome = bool(seen)
        except AfilnetError as error:
            self.log.warning("%s", error)
            outcome = error
        match self._polling.after(outcome, time.time()):
            case Fail(message, late):
                raise (AirflowSensorTimeout if late else AirflowFailException)(message)
            case Wait(seconds):
                self._next_wait = seconds
        if self._killed:
            from airflow_provider_afilnet.refresh.errors import AfilnetStoppedError

            raise AfilnetStoppedError("The sensor was told to end; the next run of the task waits anew.")
        return seen

    def on_kill(self) -> None:
        """Let the task fail: Airflow takes a normal return for success, also after it has told the task to end."""
        self._killed = True

    def _begin(self, context: Context) -> Polling:
        started = time.time()
        if self.reschedule and (first := context["ti"].get_first_reschedule_date(context)):
            started = first.timestamp()
        return Polling(
            started=started,
            deadline=started + self.timeout,
            poke_interval=self.poke_interval,
            exponential_backoff=self.exponential_backoff,
            max_wait=self.max_wait.total_seconds() if self.max_wait is not None else None,
        )

    def _get_next_poke_interval(self, started_at: Any, run_duration: Callable[[], float], poke_count: int) -> float:
        """Airflow's loop asks here how long to wait; the answer is the polling decision's."""
        assert self._next_wait is not None
        return self._next_wait
