"""Start refresh tasks in processes of their own: see ``task_process.py``, which is what runs there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

HERE = Path(__file__).resolve().parent


def environment(**more: str) -> dict[str, str]:
    """Of a task's process: the tests' modules can be imported, and no debug lines cost time."""
    path = os.pathsep.join([str(HERE.parent), *sys.path])
    return {**os.environ, "PYTHONPATH": path, "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO", **more}


class ForkedTask:
    """A task in a forked process, until it is waited for."""

    def __init__(self, server: ForkServer, pid: int, output: Path) -> None:
        self._server = server
        self.pid = pid
        self._output = output
        self._status: int | None = None

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return self._output.read_text(errors="replace") if self._output.exists() else ""

    @property
    def alive(self) -> bool:
        """Whether it still runs; one that has ended is a zombie until it is waited for."""
        status = Path(f"/proc/{self.pid}/stat").read_text()
        return status.rpartition(")")[2].split()[0] != "Z"

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Its exit code; minus the number of the signal that ended it."""
        if self._status is None:
            self._status = self._server.tell("wait")["status"]
        return self._status


class ForkServer:
    """A process that has imported Airflow and forks one task at a time, which saves its start of some seconds.

    ``temporary``: the folder for its tasks' temporary files. SQLite asks for it once, when Airflow loads it.
    """

    def __init__(self, temporary: Path) -> None:
        self.temporary = temporary
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "task_process.py"), "--fork"],
            env=environment(TMPDIR=str(temporary), SQLITE_TMPDIR=str(temporary)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdin is not None
        self._answers, self._orders = self._process.stdout, self._process.stdin
        assert "ready\n" in iter(self._answers.readline, ""), "the process that forks tasks did not start"
        self._task: ForkedTask | None = None

    def tell(self, order: object) -> dict[str, int]:
        self._orders.write(json.dumps(order) + "\n")
        self._orders.flush()
        answer: dict[str, int] = json.loads(self._answers.readline())
        return answer

    def start(self, arguments: Mapping[str, Any], variables: Mapping[str, str], output: Path) -> ForkedTask:
        """Fork a task with these arguments of the operator, these environment variables and this file to print to."""
        if self._task is not None:
            self._task.wait()
        output.unlink(missing_ok=True)
        order = {"task": dict(arguments), "environment": dict(variables), "output": str(output)}
        self._task = ForkedTask(self, self.tell(order)["pid"], output)
        return self._task

    def __enter__(self) -> ForkServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            if self._task._status is None:
                self._task.signal(9)
            self._task.wait()
        self._orders.close()
        self._process.wait(30)
        self._answers.close()
