"""The refresh: the operator as a task would run it, in mirror mode, with the defaults."""

from __future__ import annotations

from airflow_provider_afilnet.transfers.sql_to_afilnet_group import SqlToAfilnetGroupOperator
from benchmarks.job import Job
from benchmarks.rows import QUERY


def main() -> None:
    job = Job.given()
    task = SqlToAfilnetGroupOperator(
        task_id="refresh", sql=QUERY, sql_conn_id="warehouse", group_id=job.group, mode="mirror"
    )
    with job.timed() as told:
        told.errors = task.execute({})["failed"]


if __name__ == "__main__":
    main()
