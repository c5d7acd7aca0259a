"""One line for each step: what came out, which step, and a sentence."""

from __future__ import annotations

import os
import sys

import click

_COLOURS = {"ok": "green", "observed": "cyan", "unknown": "yellow", "failed": "red"}


class Console:
    """Writes the steps as they happen and remembers them for the report."""

    def __init__(self) -> None:
        self.steps: list[dict[str, str]] = []

    def _step(self, outcome: str, name: str, sentence: str) -> None:
        self.steps.append({"step": name, "outcome": outcome, "text": sentence})
        head = name if name.endswith("?") else f"{name}:"
        self.note(f"{click.style(outcome.ljust(9), fg=_COLOURS[outcome])} {head} {sentence}")

    def ok(self, name: str, sentence: str) -> None:
        """A step that came out as it must."""
        self._step("ok", name, sentence)

    def observed(self, name: str, sentence: str) -> None:
        """A step that has no right or wrong, only an answer."""
        self._step("observed", name, sentence)

    def unknown(self, name: str, sentence: str) -> None:
        """A step that could not tell."""
        self._step("unknown", name, sentence)

    def failed(self, name: str, sentence: str) -> None:
        """A step that went wrong; the sentence names the way out."""
        self._step("failed", name, sentence)

    def note(self, text: str = "") -> None:
        """A line that is no step."""
        try:
            click.echo(text)
        except OSError:
            # The reader of the pipe, or the terminal, is gone. What was made in the account still has to go too, so
            # the visit goes on without anybody who reads along; the report tells it all.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    @property
    def has_failures(self) -> bool:
        """Whether any step failed."""
        return any(step["outcome"] == "failed" for step in self.steps)
