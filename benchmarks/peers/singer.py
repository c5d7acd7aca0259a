"""singer-sdk: a ``Target`` with a ``BatchSink`` of 500 records. The tap's lines are made in this process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import requests
from singer_sdk import typing as th
from singer_sdk.sinks import BatchSink
from singer_sdk.target_base import Target

from benchmarks.job import Job
from benchmarks.rows import FIELDS, read_sqlite


class AfilnetSink(BatchSink):
    """Posts ``addcontactlist``."""

    max_size = 500
    job: Job
    session: requests.Session

    def process_batch(self, context: dict[str, Any]) -> None:
        contacts = json.dumps(context["records"], ensure_ascii=False)
        form = self.job.form("addcontactlist", contacts=contacts)
        self.session.post(self.job.address, data=form, timeout=60).raise_for_status()


class TargetAfilnet(Target):
    """Everything that a target needs besides its sink."""

    name = "target-afilnet"
    config_jsonschema = th.PropertiesList().to_dict()
    default_sink_class = AfilnetSink


def lines(job: Job) -> Iterator[str]:
    """What a tap would print."""
    schema = {"type": "object", "properties": {name: {"type": "string"} for name in FIELDS}}
    head = {"type": "SCHEMA", "stream": "customers", "schema": schema, "key_properties": ["mobile"]}
    yield json.dumps(head)
    for row in read_sqlite(job.database):
        record = dict(zip(FIELDS, row, strict=True))
        yield json.dumps({"type": "RECORD", "stream": "customers", "record": record})


def main() -> None:
    AfilnetSink.job = job = Job.given()
    AfilnetSink.session = requests.Session()
    target = TargetAfilnet(config={})
    with job.timed():
        target.listen(lines(job))


if __name__ == "__main__":
    main()
