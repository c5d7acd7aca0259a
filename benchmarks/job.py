"""What one tool's process is told and tells. Standard library only: it is imported in every tool's environment."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Job:
    """One run of one tool.

    ``database``: the SQLite file of the source. ``url``: the sandbox. ``group``: the group to fill. ``folder``: where
    the tool may keep files; the same in each phase, so that a tool that keeps state finds it again.
    """

    database: str
    url: str
    group: str
    folder: str
    user: str
    password: str

    @property
    def address(self) -> str:
        """Where calls of the API go."""
        return f"{self.url}/api/http/"

    def form(self, method: str, **params: str) -> dict[str, str]:
        """The form fields of one call for the group."""
        sign_in = {"user": self.user, "password": self.password}
        return {"class": "group", "method": method, **sign_in, "idgroup": self.group, **params}

    def as_argument(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def given(cls) -> Job:
        """The job of this process."""
        return cls(**json.loads(sys.argv[1]))

    @property
    def answer_file(self) -> Path:
        """Where the process leaves what it tells."""
        return Path(self.folder) / "answer.json"

    @contextmanager
    def timed(self) -> Iterator[Told]:
        """Time the work, imports left out, and leave what the tool tells."""
        told = Told()
        began = time.perf_counter()
        yield told
        told.seconds = time.perf_counter() - began
        self.answer_file.write_text(json.dumps(asdict(told)))


@dataclass
class Told:
    """What a tool says of its run: the seconds of the work, and how many rows it counts as failed."""

    seconds: float = 0.0
    errors: int = 0
