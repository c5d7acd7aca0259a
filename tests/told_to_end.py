"""SIGTERM as the supervisor sends it: Airflow's handler calls ``on_kill`` in the main thread, and the task goes on."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def terminated(when: Callable[[], object]) -> Iterator[None]:
    """Tell the task that runs inside to end, once ``when`` answers something true."""
    before = signal.getsignal(signal.SIGTERM)
    main = threading.main_thread().ident or 0

    def stop() -> None:
        end = time.monotonic() + 60
        while not when() and time.monotonic() < end:
            time.sleep(0.02)
        signal.pthread_kill(main, signal.SIGTERM)

    stopper = threading.Thread(target=stop)
    # Until Airflow sets its own handler, the signal must not end the test run.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    stopper.start()
    try:
        yield
    finally:
        stopper.join()
        signal.signal(signal.SIGTERM, before)
