"""A warehouse load, the refresh of an Afilnet group that follows it, and the campaign that follows the refresh.

``load_customers`` fills the table ``customers`` and updates its Asset. That starts ``afilnet_refresh_customers``, which
makes the group on its first run, and from then on keeps it equal to the query: new customers are added, changed ones
updated, those who left deleted. A green refresh starts ``afilnet_customers_campaign``.

Set up a connection ``afilnet_default``; one named ``warehouse``, to any database that Airflow knows, with the table
``staging_customers`` (phone, full_name, city); and the Variable ``afilnet_reports``, a folder that only those may read
who may read the customers: the reports hold personal data.
"""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator
from airflow.sdk import DAG, Asset, AssetAlias, task

from airflow_provider_afilnet.operators.contacts import AfilnetGetContactsOperator
from airflow_provider_afilnet.operators.groups import AfilnetAssignCountryOperator, AfilnetCreateGroupOperator
from airflow_provider_afilnet.transfers.sql_to_afilnet_group import SqlToAfilnetGroupOperator

CUSTOMERS = Asset(name="warehouse_customers", uri="warehouse://shop/customers")
GROUP = AssetAlias("afilnet_customers")  # the group's id is known in the run only: becomes afilnet://group/<id> there

with DAG(
    dag_id="load_customers",
    description="Fill the customers table; its Asset starts the refresh.",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    schedule="@daily",
    catchup=False,
    tags=["afilnet", "example"],
) as load_dag:
    SQLExecuteQueryOperator(
        task_id="load",
        conn_id="warehouse",
        sql=[
            "CREATE TABLE IF NOT EXISTS customers (phone VARCHAR(40), full_name VARCHAR(200), city VARCHAR(100))",
            "DELETE FROM customers",
            "INSERT INTO customers SELECT phone, full_name, city FROM staging_customers",
        ],
        outlets=[CUSTOMERS],
    )

# [START howto_refresh]
with DAG(
    dag_id="afilnet_refresh_customers",
    description="Keep an Afilnet group equal to the customers table.",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    schedule=[CUSTOMERS],
    catchup=False,
    max_active_runs=1,  # two refreshes of one group at once would only get in each other's way
    default_args={"retries": 2, "retry_delay": pendulum.duration(minutes=5)},
    tags=["afilnet", "example"],
) as refresh_dag:
    group = AfilnetCreateGroupOperator(
        task_id="create_group",
        name="Customers",
        group_type="mobile",
        fields=["mobile", "name", "city"],
        remember_as="afilnet_customers_group",  # the Variable that keeps the id: later runs find the group there
    )
    country = AfilnetAssignCountryOperator(task_id="assign_country", group_id=group.output, country="ESP")
    refresh = SqlToAfilnetGroupOperator(
        task_id="refresh",
        sql_conn_id="warehouse",
        sql="SELECT phone, full_name, city FROM customers",
        group_id=group.output,
        mode="mirror",
        column_map={"phone": "mobile", "full_name": "name"},
        default_region="ES",
        invalid_rows="reject",
        max_rejected=0.01,
        delete_despite_rejects=True,  # an unusable phone must not keep those who left on the list
        unsafe_values="replace",  # names with commas cannot be modified in place
        max_deletes=0.1,
        report_path="{{ var.value.afilnet_reports }}/{{ run_id }}/{{ task.task_id }}",
        outlets=[GROUP],
    )
    read_back = AfilnetGetContactsOperator(
        task_id="read_back",
        group_id=group.output,
        output_path="{{ var.value.afilnet_reports }}/{{ run_id }}/group.jsonl",
    )
    group >> country >> refresh >> read_back
# [END howto_refresh]

# [START howto_campaign]
with DAG(
    dag_id="afilnet_customers_campaign",
    description="Starts when the group was refreshed, and then only.",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    schedule=[GROUP],
    catchup=False,
    tags=["afilnet", "example"],
) as campaign_dag:

    @task
    def start_campaign(triggering_asset_events: Any = None) -> dict[str, int | str]:
        """Put the call that sends your campaign here; the event tells which group is ready, and how many changed."""
        refreshed = triggering_asset_events[GROUP][-1].extra
        return {name: refreshed[name] for name in ("group_id", "added", "updated", "deleted")}

    start_campaign()
# [END howto_campaign]
