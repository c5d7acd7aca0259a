"""Sensors that wait until a group exists, or has enough contacts."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    PokeReturnValue,
    conf,
)

from airflow_provider_afilnet.api.calls import record_id
from airflow_provider_afilnet.api.errors import AfilnetError, AfilnetInvalidRequestError, AfilnetUnprovenReadError
from airflow_provider_afilnet.sensors.base import AfilnetBaseSensor

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

_TRIGGER_GRACE = 60.0
"""Seconds that the trigger gets beyond its own deadline and one call, before Airflow ends it."""


class AfilnetGroupExistsSensor(AfilnetBaseSensor):
    """Wait until a group exists and this account has access to it, by ``getgroupcolumns``. Returns true.

    Poking, rescheduling and deferred waiting end alike: one decision serves all three. A retry waits anew.

    :param group_id: the group.
    :param deferrable: wait in the triggerer, without a worker slot.
    """

    template_fields: Sequence[str] = ("afilnet_conn_id", "group_id")

    def __init__(
        self,
        *,
        group_id: str | int,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.group_id = group_id
        self.deferrable = deferrable

    def look(self) -> PokeReturnValue:
        exists = self.hook.group_exists(self.group_id)
        self.log.info("Group %s %s.", self.group_id, "exists" if exists else "does not answer yet")
        return PokeReturnValue(is_done=exists, xcom_value=True)

    def execute(self, context: Context) -> Any:
        """Look once, then wait in the way that was chosen."""
        if not self.deferrable:
            return super().execute(context)
        try:
            self._polling = self._begin(context)
            seen = self.poke(context)
        except (AirflowSensorTimeout, AirflowFailException) as error:
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(f"Skipped, because the wait failed: {error}") from error
            raise
        except Exception as error:
            if self.never_fail:
                raise AirflowSkipException("Skipped, because the wait failed.") from error
            raise
        finally:
            self.hook.close()
        return seen.xcom_value if seen else self._defer()

    def _defer(self) -> NoReturn:
        # Imported here, because a DAG file that only names the sensor need not pay for the triggers.
        from airflow_provider_afilnet.triggers.groups import AfilnetGroupExistsTrigger

        assert self._polling is not None
        assert self._next_wait is not None
        now = time.time()
        polling = self._polling
        trigger = AfilnetGroupExistsTrigger(
            afilnet_conn_id=self.afilnet_conn_id,
            group_id=record_id(self.group_id, "group_id"),
            started=polling.started,
            deadline=polling.deadline,
            next_look=now + self._next_wait,
            poke_interval=polling.poke_interval,
            exponential_backoff=polling.exponential_backoff,
            max_wait=polling.max_wait,
        )
        # The trigger's own deadline comes first, since its message says more.
        grace = self.hook.settings.timeout + _TRIGGER_GRACE
        self.defer(
            trigger=trigger,
            method_name="execute_complete",
            timeout=timedelta(seconds=max(0.0, polling.deadline - now) + grace),
        )

    def execute_complete(self, context: Context, event: Any = None) -> bool:
        """Judge the trigger's event; anything but a clear success fails.

        :raises AirflowSensorTimeout: if the deadline passed.
        :raises AirflowFailException: for an error that cannot pass, and for an event of another form.
        :raises AfilnetError: if the trigger broke, which a retry may help.
        """
        status, group_id = (event.get("status"), event.get("group_id")) if isinstance(event, Mapping) else (None, None)
        if group_id != record_id(self.group_id, "group_id"):
            raise AirflowFailException("The trigger's event is not about this group, or has no known form.")
        message = str(event.get("message"))
        if status == "exists":
            self.log.info("%s", message)
            return True
        if status == "late":
            raise AirflowSensorTimeout(message)
        if status == "broken":
            raise AfilnetError(message, retryable=True)
        raise AirflowFailException(message if status == "failed" else f"The trigger's event has status {status!r}.")


class AfilnetGroupSizeSensor(AfilnetBaseSensor):
    """Wait until a group has enough contacts. Returns their number.

    The API has no method for a group's size, so each look reads the whole group, as a stream; that is work for a
    worker and not for the triggerer, so there is no deferrable mode. A null answer counts as not known, so not yet.

    :param group_id: the group.
    :param min_contacts: how many contacts are enough: a whole number, or text of one.
    :param poke_interval: seconds between two looks.
    """

    template_fields: Sequence[str] = ("afilnet_conn_id", "group_id", "min_contacts")

    def __init__(
        self,
        *,
        group_id: str | int,
        min_contacts: int | str,
        poke_interval: timedelta | float = 600,
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, **kwargs)
        self.group_id = group_id
        self.min_contacts = min_contacts

    def look(self) -> PokeReturnValue:
        wanted = _count(self.min_contacts)
        try:
            size = sum(1 for _ in self.hook.client.contacts(record_id(self.group_id, "group_id")))
        except AfilnetUnprovenReadError as error:
            self.log.warning("Group %s: %s Its size is not known yet.", self.group_id, error)
            return PokeReturnValue(is_done=False)
        self.log.info("Group %s has %d contacts; %d are wanted.", self.group_id, size, wanted)
        return PokeReturnValue(is_done=size >= wanted, xcom_value=size)


def _count(value: object) -> int:
    if isinstance(value, str) and value.strip().isdecimal():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise AfilnetInvalidRequestError(f"min_contacts must be a whole number of 0 or more, not {value!r}.")
    return value
