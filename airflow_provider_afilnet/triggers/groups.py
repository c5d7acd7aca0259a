"""A trigger that waits until a group exists. It only reads: a triggerer that restarts runs it again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_afilnet.api.errors import AfilnetError
from airflow_provider_afilnet.hooks.afilnet import names_no_group
from airflow_provider_afilnet.triggers.polling import Done, Fail, Polling, Wait
from airflow_provider_afilnet.triggers.sharing import SharedClient, connection_settings, shared_client


class AfilnetGroupExistsTrigger(BaseTrigger):
    """Fire one event when the group exists, the deadline passes, or an error says that waiting is in vain.

    The event is ``{"status": "exists" | "late" | "failed" | "broken", "group_id": …, "message": …}``; ``failed`` means
    that a retry cannot help, ``broken`` that it may.

    :param afilnet_conn_id: id of the Airflow connection.
    :param group_id: the group.
    :param started: when the wait began, in seconds since the epoch.
    :param deadline: when it ends, in seconds since the epoch.
    :param next_look: when to look first, in seconds since the epoch.
    :param poke_interval: seconds between two looks.
    :param exponential_backoff: let the interval grow.
    :param max_wait: longest interval of that growth in seconds; ``None`` means no limit.
    """

    def __init__(
        self,
        *,
        afilnet_conn_id: str,
        group_id: str,
        started: float,
        deadline: float,
        next_look: float,
        poke_interval: float,
        exponential_backoff: bool = False,
        max_wait: float | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.afilnet_conn_id = afilnet_conn_id
        self.group_id = group_id
        self.started = started
        self.deadline = deadline
        self.next_look = next_look
        self.poke_interval = poke_interval
        self.exponential_backoff = exponential_backoff
        self.max_wait = max_wait

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class path and the arguments, all of them JSON scalars and none of them secret."""
        return (
            "airflow_provider_afilnet.triggers.groups.AfilnetGroupExistsTrigger",
            {
                "afilnet_conn_id": self.afilnet_conn_id,
                "group_id": self.group_id,
                "started": self.started,
                "deadline": self.deadline,
                "next_look": self.next_look,
                "poke_interval": self.poke_interval,
                "exponential_backoff": self.exponential_backoff,
                "max_wait": self.max_wait,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look, wait, look again; then one event."""
        try:
            status, message = await self._wait_for_group()
        except AfilnetError as error:
            status, message = "failed", str(error)
        except Exception as error:
            # Not an error of Afilnet: the connection could not be looked up, for instance. Its text may be anything.
            self.log.exception("The trigger broke.")
            status, message = "broken", f"The trigger broke: {type(error).__name__}; its log says more."
        yield TriggerEvent({"status": status, "group_id": self.group_id, "message": message})  # type: ignore[no-untyped-call]

    async def _wait_for_group(self) -> tuple[str, str]:
        polling = Polling(
            started=self.started,
            deadline=self.deadline,
            poke_interval=self.poke_interval,
            exponential_backoff=self.exponential_backoff,
            max_wait=self.max_wait,
        )
        settings = await connection_settings(self.afilnet_conn_id)
        async with shared_client(settings) as client:
            wait = self.next_look - time.time()
            while True:
                if wait > 0:
                    await asyncio.sleep(wait)
                match polling.after(await self._look(client), time.time()):
                    case Done():
                        return "exists", f"Group {self.group_id} exists."
                    case Fail(message, late):
                        return ("late" if late else "failed"), message
                    case Wait(seconds):
                        wait = seconds

    async def _look(self, client: SharedClient) -> bool | AfilnetError:
        try:
            await client.call("getgroupcolumns", idgroup=self.group_id)
        except AfilnetError as error:
            if names_no_group(error):
                return False
            self.log.warning("Group %s: %s", self.group_id, error)
            return error
        return True
