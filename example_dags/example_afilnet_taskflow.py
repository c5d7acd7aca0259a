"""A function whose rows a group follows, what starts when it did, and a message with the counts when it did not.

Set up a connection ``afilnet_default`` and the Variable ``afilnet_newsletter_group`` with the id of an e-mail group.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pendulum
from airflow.sdk import DAG, AssetAlias, task

log = logging.getLogger(__name__)

NEWSLETTER = AssetAlias("afilnet_newsletter")


# [START howto_failure_callback]
def report_counts(context: Any) -> None:
    """Say how far a red refresh got; put your chat or pager in the place of the log."""
    result = getattr(context.get("exception"), "result", None)
    if result is None:
        log.error("The refresh ended before there was anything to count.")
    else:
        log.error("Group %s: %s of %s rows failed.", result.group_id, result.failed, result.source_rows)


# [END howto_failure_callback]

with DAG(
    dag_id="afilnet_newsletter",
    description="A TaskFlow function feeds an Afilnet group.",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    schedule="@daily",
    catchup=False,
    max_active_runs=1,
    tags=["afilnet", "example"],
) as newsletter_dag:
    # [START howto_taskflow]
    @task
    def pages() -> int:
        """How many pages of readers there are."""
        return 3

    @task.afilnet_refresh(
        group_id="{{ var.value.afilnet_newsletter_group }}",
        mode="mirror",
        outlets=[NEWSLETTER],
        retries=2,
        on_failure_callback=report_counts,
    )
    def readers(pages: int) -> Iterator[dict[str, str]]:
        """One row for each reader; nothing is written before the last one was given."""
        for page in range(pages):
            yield {"email": f"reader{page}@example.com", "name": f"Reader {page}"}

    readers(pages())
    # [END howto_taskflow]

# [START howto_asset_consumer]
with DAG(
    dag_id="afilnet_newsletter_ready",
    description="Starts when the newsletter's group was refreshed.",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    schedule=[NEWSLETTER],
    catchup=False,
    tags=["afilnet", "example"],
) as ready_dag:

    @task
    def announce(triggering_asset_events: Any = None) -> list[dict[str, Any]]:
        """The counts of each refresh that started this run."""
        counts = [event.extra for event in triggering_asset_events[NEWSLETTER]]
        return [{name: found[name] for name in ("group_id", "added", "updated", "deleted")} for found in counts]

    announce()
# [END howto_asset_consumer]
