"""What tasks leave in logs, and the secrets that must not be there."""

from __future__ import annotations

import traceback

import pytest

PASSWORD = "Passw0rd-Zaragoza-77"
"""The sandbox account's. Distinctive, so that it can be searched for in everything that a task leaves behind."""


class Logs:
    """Everything that was logged so far, at DEBUG. Airflow's own loggers write to stdout, past :mod:`logging`."""

    def __init__(self, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
        self._caplog = caplog
        self._capfd = capfd
        self._printed = ""

    @property
    def text(self) -> str:
        self._printed += "".join(self._capfd.readouterr())
        return self._printed + self._caplog.text


def variables_of(error: BaseException | None) -> list[str]:
    """The variables of our calls that an error ended, which a console may print beside its traceback; one text a call.

    An error's causes count too, suppressed ones included.
    """
    found: list[str] = []
    while error is not None:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if "airflow_provider_afilnet" in frame.f_code.co_filename:
                found.append(repr(frame.f_locals))
        error = error.__cause__ or error.__context__
    return found
