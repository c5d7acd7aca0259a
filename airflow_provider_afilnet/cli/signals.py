"""What ends a command from outside, besides Ctrl-C."""

from __future__ import annotations

import signal


def end_as_ctrl_c() -> None:
    """Let a container that is stopped and a terminal that closes end the command as Ctrl-C does: with its clean-up.

    What ``nohup`` has switched off stays off.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
