"""The polling decision: pure, so every case is a line."""

from __future__ import annotations

import pytest

from airflow_provider_afilnet.api.errors import AfilnetConnectionError, AfilnetCredentialsError, AfilnetRateLimitedError
from airflow_provider_afilnet.triggers.polling import SHORTEST_WAIT, Done, Fail, Polling, Wait

START = 1_000_000.0


def polling(*, interval: float = 60.0, lasts: float = 3600.0, **options: float) -> Polling:
    return Polling(started=START, deadline=START + lasts, poke_interval=interval, **options)  # type: ignore[arg-type]


def broken(retry_after: float | None = None) -> AfilnetRateLimitedError:
    return AfilnetRateLimitedError("too many", retry_after=retry_after)


def test_success_is_done_even_after_the_deadline() -> None:
    assert polling().after(True, START + 9999) == Done()


def test_not_yet_waits_one_interval() -> None:
    poll = polling()
    assert [poll.after(False, START + n) for n in (0, 60, 120)] == [Wait(60.0)] * 3


def test_the_last_look_is_at_the_deadline() -> None:
    poll = polling()
    assert poll.after(False, START + 3590) == Wait(10.0)
    assert poll.after(broken(900), START + 3599.5) == Wait(0.5)
    ended = poll.after(False, START + 3600)
    assert isinstance(ended, Fail)
    assert ended.late
    assert "3600 s" in ended.message


def test_no_time_at_all_is_one_look() -> None:
    assert polling(lasts=0).after(True, START) == Done()
    assert isinstance(polling(lasts=0).after(False, START), Fail)


def test_errors_back_off_and_never_below_the_interval() -> None:
    poll = polling(interval=5)
    waits = [poll.after(broken(), START) for _ in range(12)]
    assert waits == [Wait(s) for s in (5, 5, 5, 8, 16, 32, 64, 128, 256, 300, 300, 300)]
    poll.after(False, START)
    assert poll.after(broken(), START) == Wait(5)


def test_many_errors_do_not_overflow() -> None:
    poll = polling(lasts=1e9)
    for _ in range(5000):
        assert poll.after(broken(), START) in (Wait(60), Wait(64), Wait(128), Wait(256), Wait(300))


def test_retry_after_is_obeyed() -> None:
    assert polling(interval=5).after(broken(77), START) == Wait(77)
    assert polling(interval=100).after(broken(77), START) == Wait(100)
    assert polling(interval=5).after(broken(4000), START) == Wait(3600)


@pytest.mark.parametrize("interval", [0, 0.0, 0.001])
def test_there_is_no_hot_loop(interval: float) -> None:
    assert polling(interval=interval).after(False, START) == Wait(SHORTEST_WAIT)
    assert polling(interval=interval).after(broken(), START) == Wait(1.0)
    assert polling(interval=interval).after(broken(0), START) == Wait(1.0)


def test_a_permanent_error_fails_at_once() -> None:
    assert polling().after(AfilnetCredentialsError("wrong"), START) == Fail("wrong", late=False)


def test_the_last_error_is_said_at_the_deadline() -> None:
    ended = polling().after(AfilnetConnectionError("not reached"), START + 3600)
    assert isinstance(ended, Fail)
    assert ended.late
    assert "not reached" in ended.message


def test_exponential_backoff_doubles_without_memory() -> None:
    moment, waits = START, []
    for _ in range(6):
        decision = polling(interval=10, lasts=1e6, exponential_backoff=True).after(False, moment)
        assert isinstance(decision, Wait)
        waits.append(decision.seconds)
        moment += decision.seconds
    assert waits == [10, 20, 40, 80, 160, 320]


def test_exponential_backoff_has_a_bound() -> None:
    poll = polling(interval=10, lasts=1e6, exponential_backoff=True, max_wait=45)
    assert poll.after(False, START + 70) == Wait(45)
    assert polling(interval=10, exponential_backoff=True, max_wait=3).after(False, START) == Wait(10)
