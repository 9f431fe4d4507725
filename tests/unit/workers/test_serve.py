"""What runs beside a diff worker ends with it, and ends it where it fails."""

import threading

import pytest

from workers.serve import beside


class Waits:
    """Runs until it is stopped, or fails at once."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.stopped = threading.Event()
        self.ended = False

    def run(self) -> None:
        if self.error is not None:
            raise self.error
        self.stopped.wait(10)
        self.ended = True

    def stop(self) -> None:
        self.stopped.set()


def test_it_ends_with_the_block() -> None:
    program = Waits()
    with beside(program, "other", pytest.fail):
        assert not program.ended
    assert program.ended


def test_a_defect_of_it_ends_the_block_and_is_raised(caplog: pytest.LogCaptureFixture) -> None:
    stopped = threading.Event()
    with pytest.raises(ZeroDivisionError), beside(Waits(ZeroDivisionError()), "other", stopped.set):
        assert stopped.wait(10)
    assert caplog.messages == ["other failed (ZeroDivisionError), so this worker ends"]


def test_a_failure_of_the_block_ends_it_too() -> None:
    program = Waits()
    with pytest.raises(KeyError), beside(program, "other", pytest.fail):
        raise KeyError
    assert program.ended
