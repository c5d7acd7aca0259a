"""One query feeds many groups: a mapped refresh per segment, each with its own group and parameters.

The placeholder of the query is written as SQLite's driver takes it; for PostgreSQL write ``%(segment)s``.
"""

from __future__ import annotations

import pendulum
from airflow.sdk import DAG, task

from airflow_provider_afilnet.operators.groups import AfilnetAssignCountryOperator, AfilnetCreateGroupOperator
from airflow_provider_afilnet.transfers.sql_to_afilnet_group import SqlToAfilnetGroupOperator

SEGMENTS = ["gold", "silver", "new"]

with DAG(
    dag_id="afilnet_many_groups",
    description="One Afilnet group per customer segment, from one query.",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    schedule="@daily",
    catchup=False,
    max_active_runs=1,
    tags=["afilnet", "example"],
) as dag:
    # [START howto_many_groups]
    @task
    def groups_to_make() -> list[dict[str, str]]:
        """Arguments of each mapped creation; a Variable per segment keeps the group's id."""
        return [{"name": f"Segment {name}", "remember_as": f"afilnet_segment_{name}"} for name in SEGMENTS]

    @task
    def refreshes(group_ids: list[str]) -> list[dict[str, object]]:
        """Arguments of each mapped refresh: a group and the parameters of the query."""
        pairs = zip(SEGMENTS, group_ids, strict=True)
        return [{"group_id": group_id, "parameters": {"segment": name}} for name, group_id in pairs]

    created = AfilnetCreateGroupOperator.partial(
        task_id="create_group", group_type="email", fields=["email", "name"]
    ).expand_kwargs(groups_to_make())

    # One mapped task per created group: the ids are all that differs.
    countries = AfilnetAssignCountryOperator.partial(task_id="assign_country", country="ES").expand(
        group_id=created.output
    )

    countries >> SqlToAfilnetGroupOperator.partial(
        task_id="refresh",
        sql_conn_id="warehouse",
        sql="SELECT email, name FROM customers WHERE segment = :segment",
        mode="mirror",
        # The server's limits are the account's, so the refreshes share them: one after the other.
        max_active_tis_per_dagrun=1,
    ).expand_kwargs(refreshes(created.output))
    # [END howto_many_groups]
