"""One worker without Redis: looks, measures, keeps."""

import errno
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.unit.workers.base_cache.damages import DAMAGED, KEY, OTHER, Damage
from tests.unit.workers.base_cache.measurements import bits, contents, folder, key, measurement
from workers.base_cache import BaseCache, BaseKey
from workers.base_cache.storage import write
from workers.errors import DiffCancelled, DiffError
from workers.lake.writer import Lake
from workers.measurement import Measurement


class Measuring:
    """Counts how often it is asked."""

    def __init__(self, made: Measurement | None = None) -> None:
        self.made = measurement() if made is None else made
        self.asked = 0

    def __call__(self) -> Measurement:
        self.asked += 1
        return self.made


def never() -> None:
    pytest.fail("there is nobody to wait for")


def ask(lake: Path, measuring: Callable[[], Measurement], asked: BaseKey = KEY) -> tuple[Measurement, bool]:
    return BaseCache(Lake(str(lake)), None, None).get_or_measure(asked, "base", measuring, never)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_it_is_measured_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    measuring = Measuring()
    first, was_kept = ask(tmp_path, measuring)
    assert (first, was_kept) == (measuring.made, False)
    for _ in range(2):
        again, was_kept = ask(tmp_path, measuring)
        assert was_kept
        assert bits(again) == bits(first)
    assert measuring.asked == 1
    assert warnings(caplog) == []


def test_other_code_measures_again(tmp_path: Path) -> None:
    measuring = Measuring()
    for version in ("0.1.0", "0.1.1", "0.1.0"):
        ask(tmp_path, measuring, key(code_version=version))
    assert measuring.asked == 2


@DAMAGED
def test_what_is_damaged_is_measured_again_and_repaired(
    tmp_path: Path, damage: Damage, caplog: pytest.LogCaptureFixture
) -> None:
    write(Lake(str(tmp_path)), OTHER, measurement(seed=1))
    ask(tmp_path, Measuring())
    damage(folder(tmp_path, KEY), folder(tmp_path, OTHER))
    measuring = Measuring()
    made, was_kept = ask(tmp_path, measuring)
    assert (made, was_kept, measuring.asked) == (measuring.made, False, 1)
    (said,) = warnings(caplog)
    assert KEY.digest in said
    again, was_kept = ask(tmp_path, measuring)
    assert was_kept
    assert bits(again) == bits(made)
    assert len(warnings(caplog)) == 1


def test_what_is_damaged_is_replaced_by_what_is_measured_now(tmp_path: Path) -> None:
    """On a GPU its last digits may be others."""
    ask(tmp_path, Measuring())
    (folder(tmp_path, KEY) / "entry.json").unlink()
    now = measurement(seed=5)
    assert ask(tmp_path, Measuring(now)) == (now, False)
    again, was_kept = ask(tmp_path, Measuring())
    assert was_kept
    assert bits(again) == bits(now)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES])
def test_a_full_disk_costs_no_diff(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    measuring = Measuring()
    with monkeypatch.context() as patched:
        patched.setattr("workers.lake.durable.os.fsync", fail)
        assert ask(tmp_path, measuring) == (measuring.made, False)
    (said,) = warnings(caplog)
    assert "is not kept" in said
    assert os.strerror(code) in said
    assert ask(tmp_path, measuring) == (measuring.made, False)
    assert ask(tmp_path, measuring)[1]


@pytest.mark.parametrize("name", ["entry.json", "layers"])
def test_a_folder_in_the_way_costs_no_diff(tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str) -> None:
    ask(tmp_path, Measuring())
    (path,) = folder(tmp_path, KEY).glob(f"{name}*")
    path.unlink()
    path.mkdir()
    measuring = Measuring()
    assert ask(tmp_path, measuring) == (measuring.made, False)
    assert len(warnings(caplog)) == 2
    shutil.rmtree(path)
    ask(tmp_path, measuring)
    assert ask(tmp_path, measuring)[1]


def test_a_text_that_is_no_unicode_costs_no_diff(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole = measurement()
    strange = replace(whole, answers=(replace(whole.answers[0], given="\udc80"),))
    assert ask(tmp_path, Measuring(strange)) == (strange, False)
    (said,) = warnings(caplog)
    assert "surrogates" in said


@pytest.mark.parametrize("error", [DiffError("out_of_memory", "It is too large."), DiffCancelled(), KeyError("x")])
def test_what_measuring_raises_goes_through(tmp_path: Path, error: Exception) -> None:
    def fail() -> Measurement:
        raise error

    with pytest.raises(type(error)) as raised:
        ask(tmp_path, fail)
    assert raised.value is error
    assert list(tmp_path.iterdir()) == []


def test_it_is_not_found_by_those_who_read_tables(tmp_path: Path) -> None:
    from workers.lake.compact import compact
    from workers.lake.views import views

    ask(tmp_path, Measuring())
    before = contents(folder(tmp_path, KEY))
    assert views(str(tmp_path)) == ""
    assert compact(str(tmp_path), min_files=2, now=2e9) == []
    assert contents(folder(tmp_path, KEY)) == before
