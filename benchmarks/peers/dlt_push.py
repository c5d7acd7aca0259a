"""dlt: a pipeline from a generator to a ``@dlt.destination`` function with lists of 500."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import dlt
import requests

from benchmarks.job import Job
from benchmarks.rows import FIELDS, read_sqlite

BATCH = 500


def main() -> None:
    job = Job.given()
    session = requests.Session()

    @dlt.destination(batch_size=BATCH)
    def afilnet(items: list[dict[str, Any]], table: Any) -> None:
        contacts = json.dumps(items, ensure_ascii=False)
        form = job.form("addcontactlist", contacts=contacts)
        session.post(job.address, data=form, timeout=60).raise_for_status()

    @dlt.resource(name="customers", primary_key="mobile", write_disposition="merge")
    def customers() -> Iterator[dict[str, str]]:
        for row in read_sqlite(job.database):
            yield dict(zip(FIELDS, row, strict=True))

    pipeline = dlt.pipeline("customers_to_afilnet", destination=afilnet, pipelines_dir=f"{job.folder}/dlt")
    with job.timed() as told:
        told.errors = len(pipeline.run(customers()).load_packages[0].jobs["failed_jobs"])


if __name__ == "__main__":
    main()
