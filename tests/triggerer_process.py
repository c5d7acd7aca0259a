"""Triggers in Airflow's own triggerer process, without its database, its scheduler and its job.

Run as ``python triggerer_process.py FILE``, where FILE holds a JSON object: ``triggers``, a list of arguments of
``AfilnetGroupExistsTrigger``; ``idle``, how many triggers of Airflow's own that only sleep run besides; ``lasts``,
seconds to let them run; ``beat``, seconds between two heartbeats of the watch over the loop. ``started``, ``next_look``
and ``deadline`` count in seconds from the moment at which the triggers are handed over. Prints one JSON object in the
last line: ``began``, that moment in seconds since the epoch; ``loop``, what :class:`loop_watch.LoopWatch` saw;
``events`` and ``failures`` of the others; ``files``, how many files and sockets the process had open at the end.
Airflow connections and settings come from the environment.

It leans on private modules of Airflow. What is left out is what reads and writes the database: which triggers there
are, the heartbeat of the job, and whom an event wakes up.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import structlog
from airflow.executors import workloads
from airflow.models.trigger import Trigger
from airflow.providers.standard.triggers.temporal import DateTimeTrigger
from airflow_of import trigger_supervisor
from loop_watch import LoopWatch

from airflow_provider_afilnet.triggers.groups import AfilnetGroupExistsTrigger

WATCH = 1


@attrs.define(kw_only=True)
class Triggerer(trigger_supervisor()):
    """The supervisor of the process that runs triggers, fed by hand."""

    fired: dict[int, Any] = attrs.field(factory=dict, init=False)
    failed: dict[int, Any] = attrs.field(factory=dict, init=False)

    def add(self, number: int, trigger: Any) -> None:
        path, arguments = trigger.serialize()
        self.creating_triggers.append(
            workloads.RunTrigger(id=number, ti=None, classpath=path, encrypted_kwargs=Trigger.encrypt_kwargs(arguments))
        )

    def run_until(self, moment: float, number: int | None = None) -> None:
        """Serve the process until a moment by ``time.monotonic()``, or until the trigger ``number`` ended."""
        while time.monotonic() < moment and number not in self.fired and number not in self.failed:
            if not self.is_alive():
                raise RuntimeError("The process that runs the triggers died.")
            self.run_once()

    def load_triggers(self) -> None: ...

    def heartbeat(self) -> None: ...

    def clean_unused(self) -> None: ...

    def emit_metrics(self) -> None: ...

    def on_trigger_event(self, trigger_id: int, event: Any) -> None:
        self.fired[trigger_id] = event.payload

    def on_trigger_failure(self, trigger_id: int, exc: list[str] | None) -> None:
        self.failed[trigger_id] = exc


def run(plan: dict[str, Any]) -> dict[str, Any]:
    listed, idle = plan["triggers"], plan["idle"]
    triggerer = Triggerer.start(capacity=len(listed) + idle + 1, logger=structlog.get_logger())
    with tempfile.TemporaryDirectory() as folder:
        end = Path(folder) / "end"
        try:
            triggerer.add(WATCH, LoopWatch(ends_with=str(end), beat=plan["beat"]))
            while WATCH not in triggerer.running_triggers:
                triggerer.run_until(time.monotonic() + 0.1)
            triggerer.run_until(time.monotonic() + 1)
            began = time.time()
            for number, arguments in enumerate(listed, start=WATCH + 1):
                moments = {name: began + arguments[name] for name in ("started", "next_look", "deadline")}
                triggerer.add(number, AfilnetGroupExistsTrigger(**{**arguments, **moments}))
            for number in range(idle):
                triggerer.add(WATCH + 1 + len(listed) + number, DateTimeTrigger(datetime.now(UTC) + timedelta(days=1)))
            triggerer.run_until(time.monotonic() + plan["lasts"])
            files = len(os.listdir(f"/proc/{triggerer.pid}/fd"))
            end.touch()
            triggerer.run_until(time.monotonic() + 30, WATCH)
        finally:
            triggerer.kill(force=True)
    return {
        "began": began,
        "loop": triggerer.fired.pop(WATCH),
        "events": list(triggerer.fired.values()),
        "failures": list(triggerer.failed.values()),
        "files": files,
    }


if __name__ == "__main__":
    print(json.dumps(run(json.loads(Path(sys.argv[1]).read_text()))), flush=True)
