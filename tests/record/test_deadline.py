"""A deadline for one folder."""

import signal
import threading
import time

import pytest

from grape_bench.record.deadline import DeadlineError, deadline


def wait() -> None:
    while True:
        time.sleep(0.01)


def test_work_that_takes_too_long_ends_with_a_message() -> None:
    with pytest.raises(DeadlineError, match=r"runs/x: reading this took longer than 0\.05 s"), deadline(0.05, "runs/x"):
        wait()
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_the_outer_deadline_still_holds() -> None:
    with pytest.raises(DeadlineError, match="outer"), deadline(0.1, "outer"):
        with pytest.raises(DeadlineError, match="inner"), deadline(0.02, "inner"):
            wait()
        with deadline(60, "inner"):
            wait()


def test_code_that_takes_the_error_for_its_own_is_stopped_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grape_bench.record.deadline.AGAIN_S", 0.02)
    with pytest.raises(DeadlineError), deadline(0.02, "x"):
        try:
            wait()
        except DeadlineError:
            wait()


def test_another_thread_has_no_deadline() -> None:
    ended = []

    def work() -> None:
        with deadline(0.01, "x"):
            time.sleep(0.03)
            ended.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ended == [True]
