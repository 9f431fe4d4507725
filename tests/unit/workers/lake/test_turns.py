import multiprocessing
import signal
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from workers.errors import TransientDiffError
from workers.lake import turns
from workers.lake.turns import turn


def hold(folder: Path, name: str, has_it: Event) -> None:
    with turn(folder, name):
        has_it.set()
        time.sleep(600)


def test_a_turn_is_one_processes_until_it_dies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "_WAIT_SECONDS", 0.05)
    context = multiprocessing.get_context("spawn")
    has_it = context.Event()
    other = context.Process(target=hold, args=(tmp_path / "table", "a", has_it))
    other.start()
    assert has_it.wait(60)
    with pytest.raises(TransientDiffError, match="wait until it goes on, or end it"), turn(tmp_path / "table", "a"):
        pytest.fail("it is the other's turn")
    with turn(tmp_path / "table", "b"):
        pass
    other.kill()
    other.join()
    assert other.exitcode == -signal.SIGKILL
    for _ in range(2):
        with turn(tmp_path / "table", "a"):
            pass
    assert all(path.name.startswith(".") for path in (tmp_path / "table").iterdir()), "readers see none of it"


def test_what_is_raised_in_a_turn_ends_it(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), turn(tmp_path, "a"):
        raise ZeroDivisionError
    with turn(tmp_path, "a"):
        pass
