"""drt-core: a sync from SQLite to its REST destination with lists of 500, and the rate limit out of the way."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode

from drt.config.models import SyncConfig
from drt.config.profiles import SQLiteProfile
from drt.destinations.rest_api import RestApiDestination
from drt.engine.sync import run_sync
from drt.sources.sqlite import SQLiteSource

from benchmarks.job import Job
from benchmarks.rows import QUERY

BATCH = 500


def main() -> None:
    job = Job.given()
    sync = SyncConfig.model_validate(
        {
            "name": "customers_to_afilnet",
            "model": QUERY,
            "destination": {
                "type": "rest_api",
                "url": job.address,
                "method": "POST",
                "headers": {"Content-Type": "application/x-www-form-urlencoded"},
                "body_mode": "batch",
                "batch_template": urlencode(job.form("addcontactlist"))
                + "&contacts={{ rows | tojson_safe | urlencode }}",
            },
            "sync": {
                "mode": "full",
                "batch_size": BATCH,
                "rate_limit": {"requests_per_second": 100_000},
                "on_error": "skip",
            },
        }
    )
    with job.timed() as told:
        profile = SQLiteProfile(type="sqlite", database=job.database)
        told.errors = run_sync(sync, SQLiteSource(), RestApiDestination(), profile, Path(job.folder)).failed


if __name__ == "__main__":
    main()
