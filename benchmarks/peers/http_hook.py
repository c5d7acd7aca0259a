"""Airflow's ``HttpHook``: one ``addcontact`` for each row, as a task with a loop would make them."""

from __future__ import annotations

from airflow.providers.common.compat.sdk import AirflowException
from airflow.providers.http.hooks.http import HttpHook

from benchmarks.job import Job
from benchmarks.rows import FIELDS, read_sqlite


def main() -> None:
    job = Job.given()
    hook = HttpHook(method="POST", http_conn_id="afilnet_http")
    with job.timed() as told:
        for row in read_sqlite(job.database):
            contact = ",".join(f"{name}:{value}" for name, value in zip(FIELDS, row, strict=True))
            try:
                hook.run("/api/http/", data=job.form("addcontact", contact=contact))
            except AirflowException:
                told.errors += 1


if __name__ == "__main__":
    main()
