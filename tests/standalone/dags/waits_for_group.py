"""Both sensors, as a DAG waits with them for a group that somebody else makes and fills."""

from __future__ import annotations

import pendulum
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

from airflow_provider_afilnet.sensors.groups import AfilnetGroupExistsSensor, AfilnetGroupSizeSensor

GROUP = "{{ dag_run.conf['group_id'] }}"

with DAG(dag_id="waits_for_group", start_date=pendulum.datetime(2026, 1, 1), schedule=None, catchup=False):
    exists = AfilnetGroupExistsSensor(task_id="group_exists", group_id=GROUP, poke_interval=2, deferrable=True)
    full = AfilnetGroupSizeSensor(
        task_id="group_is_full", group_id=GROUP, min_contacts=1, mode="reschedule", poke_interval=2, timeout=120
    )
    exists >> full >> EmptyOperator(task_id="start_campaign")
