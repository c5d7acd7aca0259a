"""How far an import is: one line that is redrawn on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import logging
import os
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import click

if TYPE_CHECKING:
    from airflow_provider_afilnet.refresh.progress import Progress

_EVERY: Final = 0.1
_WIDTH: Final = 24
_LOGGER: Final = "airflow_provider_afilnet"


class ProgressBar(logging.Handler):
    """Shows counts, and what the refresh logs besides, on standard error. Use it as a context manager."""

    def __init__(self) -> None:
        self._terminal = sys.stderr is not None and sys.stderr.isatty()
        # Where there is no bar, the refresh's own lines every ten seconds tell how far it is.
        super().__init__(logging.WARNING if self._terminal else logging.INFO)
        self._drawn_at = 0.0
        self._drawn = False

    def __enter__(self) -> Self:
        logger = logging.getLogger(_LOGGER)
        logger.addHandler(self)
        logger.setLevel(logging.INFO)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        logging.getLogger(_LOGGER).removeHandler(self)
        self._clear()

    def show(self, progress: Progress) -> None:
        """Redraw the line, not too often."""
        now = time.monotonic()
        if not self._terminal or now - self._drawn_at < _EVERY:
            return
        self._drawn_at = now
        text = f"{progress.rows} rows read, {progress.contacts} contacts in the group"
        if progress.planned:
            share = min(1.0, progress.done / progress.planned)
            bar = "#" * round(share * _WIDTH)
            text = f"[{bar.ljust(_WIDTH)}] {share:4.0%}  {progress.done} of {progress.planned} written"
        self._write(f"\r\x1b[K{text}")
        self._drawn = True

    def emit(self, record: logging.LogRecord) -> None:
        """A line of the log, above the bar."""
        self._clear()
        self._write(f"{self.format(record)}\n")

    def _clear(self) -> None:
        if self._drawn:
            self._write("\r\x1b[K")
            self._drawn = False

    def _write(self, text: str) -> None:
        try:
            click.echo(text, err=True, nl=False)
        except OSError:
            # That nobody reads along is no reason to stop in the middle of the writing, nor to end with an error when
            # Python flushes the stream at last.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
