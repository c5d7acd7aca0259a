"""Refreshes of a server that is slow, which the tests end in the middle."""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG, Asset

from airflow_provider_afilnet.transfers.sql_to_afilnet_group import SqlToAfilnetGroupOperator

LIMITS = {"slow_refresh": None, "timed_refresh": timedelta(seconds=12)}

for dag_id, limit in LIMITS.items():
    with DAG(
        dag_id=dag_id,
        start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
        schedule=None,
        catchup=False,
    ):
        SqlToAfilnetGroupOperator(
            task_id="refresh",
            afilnet_conn_id="afilnet_slow",
            sql_conn_id="slow_warehouse",
            sql="SELECT mobile, name FROM customers",
            group_id="{{ dag_run.conf['group_id'] }}",
            mode="mirror",
            max_deletes=1.0,
            settle=1,
            execution_timeout=limit,
            retries=1,
            retry_delay=timedelta(seconds=10),  # time to see that nobody writes,
        )

# A group that is there before, by its plain Asset.
with DAG(dag_id="after_group_1000", schedule=[Asset("afilnet://group/1000")], start_date=pendulum.datetime(2026, 1, 1)):
    ...
