"""airbyte-cdk: a ``Destination`` whose ``write`` posts lists of 500 records.

The messages are made in this process, so the pipe between a source and a destination, and its JSON, cost nothing here.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import requests
from airbyte_cdk.destinations import Destination
from airbyte_cdk.models import (
    AirbyteConnectionStatus,
    AirbyteMessage,
    AirbyteRecordMessage,
    AirbyteStateMessage,
    ConfiguredAirbyteCatalog,
    Status,
    Type,
)

from benchmarks.job import Job
from benchmarks.rows import FIELDS, read_sqlite

BATCH = 500


class DestinationAfilnet(Destination):
    """Posts ``addcontactlist``."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self._job = job
        self._session = requests.Session()

    def check(self, logger: logging.Logger, config: Mapping[str, Any]) -> AirbyteConnectionStatus:
        return AirbyteConnectionStatus(status=Status.SUCCEEDED)

    def write(
        self,
        config: Mapping[str, Any],
        configured_catalog: ConfiguredAirbyteCatalog,
        input_messages: Iterable[AirbyteMessage],
    ) -> Iterator[AirbyteMessage]:
        batch: list[dict[str, Any]] = []
        for message in input_messages:
            if message.type == Type.RECORD:
                batch.append(message.record.data)
                if len(batch) == BATCH:
                    self._flush(batch)
            elif message.type == Type.STATE:
                self._flush(batch)
                yield message
        self._flush(batch)

    def _flush(self, batch: list[dict[str, Any]]) -> None:
        if batch:
            contacts = json.dumps(batch, ensure_ascii=False)
            form = self._job.form("addcontactlist", contacts=contacts)
            self._session.post(self._job.address, data=form, timeout=60).raise_for_status()
            batch.clear()


def messages(job: Job) -> Iterator[AirbyteMessage]:
    """What a source would emit."""
    for row in read_sqlite(job.database):
        data = dict(zip(FIELDS, row, strict=True))
        record = AirbyteRecordMessage(stream="customers", data=data, emitted_at=int(time.time() * 1000))
        yield AirbyteMessage(type=Type.RECORD, record=record)
    yield AirbyteMessage(type=Type.STATE, state=AirbyteStateMessage(data={}))


def main() -> None:
    job = Job.given()
    destination = DestinationAfilnet(job)
    with job.timed():
        for _ in destination.write({}, ConfiguredAirbyteCatalog(streams=[]), messages(job)):
            pass


if __name__ == "__main__":
    main()
