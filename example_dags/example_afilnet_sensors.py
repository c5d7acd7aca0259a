"""Wait until a group exists and holds enough contacts, then go on."""

from __future__ import annotations

import pendulum
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

from airflow_provider_afilnet.sensors.groups import AfilnetGroupExistsSensor, AfilnetGroupSizeSensor

with DAG(
    dag_id="afilnet_sensors",
    description="Start a campaign once its group is there and full.",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    schedule=None,
    catchup=False,
    params={"group_id": "1000"},
    tags=["afilnet", "example"],
) as dag:
    # [START howto_sensors]
    exists = AfilnetGroupExistsSensor(
        task_id="group_exists",
        group_id="{{ params.group_id }}",
        poke_interval=60,
        timeout=3600,
        deferrable=True,  # waits in the triggerer and holds no worker
    )
    full = AfilnetGroupSizeSensor(
        task_id="group_is_full",
        group_id="{{ params.group_id }}",
        min_contacts=1000,
        mode="reschedule",  # reads the whole group at each look, so look seldom
        poke_interval=600,
        timeout=6 * 3600,
    )
    # [END howto_sensors]
    exists >> full >> EmptyOperator(task_id="start_campaign")
