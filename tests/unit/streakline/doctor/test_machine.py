"""What is said of a machine: its disks, its GPU, what is installed, and its Redis."""

import os
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from streakline.doctor.disk import judge_room, look_at_folder
from streakline.doctor.gpu import Device, TorchFacts, judge_torch
from streakline.doctor.packages import Extra, judge_extra, surveyed
from streakline.doctor.redis import RedisFacts, judge_redis

GIB = 1 << 30


def test_a_folder_that_is_to_be_made_is_looked_for_above_and_nothing_stays_behind(tmp_path: Path) -> None:
    (found,) = look_at_folder("lake", tmp_path / "not" / "there", "STREAKLINE_LAKE")
    assert found.verdict == "ok"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    (found,) = look_at_folder("lake", file, "STREAKLINE_LAKE")
    assert (found.verdict, found.finding) == ("wrong", f"nothing can be written in {file} (Not a directory)")
    assert "STREAKLINE_LAKE" in (found.remedy or "")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere: run this as another user")
def test_a_folder_of_another_user(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    (found,) = look_at_folder("lake", tmp_path, "STREAKLINE_LAKE")
    assert "Permission denied" in found.finding


@pytest.mark.parametrize(("free", "verdict"), [(0.2, "wrong"), (0.7, "warning"), (3.0, "ok")])
def test_room(free: float, verdict: str) -> None:
    found = judge_room("spool", Path("/spool"), int(free * GIB), "STREAKLINE_SPOOL_DIR", needed_bytes=GIB // 2)
    assert found.verdict == verdict
    assert f"/spool: {free} GiB free" in found.finding


A_GPU = Device("NVIDIA H100", 70 * GIB, 80 * GIB)


def torch(*devices: Device, cuda: str | None = "12.8", has_driver: bool = True) -> TorchFacts:
    return TorchFacts(version="2.9", cuda=cuda, devices=devices, has_driver=has_driver)


@pytest.mark.parametrize(
    ("facts", "device", "verdicts", "said"),
    [
        (torch(A_GPU), "auto", ["ok"], "built for CUDA 12.8; cuda:0 is NVIDIA H100, 70.0 of 80.0 GiB free"),
        (torch(Device("T4", GIB, 15 * GIB)), "auto", ["warning"], "1.0 of 15.0 GiB free, which is little"),
        (torch(A_GPU), "cuda:1", ["ok", "wrong"], "STREAKLINE_DEVICE is cuda:1, and there is none such"),
        (torch(cuda=None, has_driver=False), "auto", ["ok"], "built for the CPU only; no GPU"),
        (
            torch(cuda=None, has_driver=False),
            "cuda",
            ["wrong"],
            "STREAKLINE_DEVICE is cuda, and PyTorch 2.9",
        ),
        (torch(cuda=None), "auto", ["warning"], "there is a GPU's driver, and PyTorch 2.9, built for the CPU only"),
    ],
)
def test_what_diffs_are_computed_on(facts: TorchFacts, device: str, verdicts: list[str], said: str) -> None:
    found = list(judge_torch(facts, device))
    assert [each.verdict for each in found] == verdicts
    assert said in found[-1].finding


WANTED = [
    Requirement(each) for each in ("msgspec>=0.19,<0.23", "redis>=6; extra == 'stream'", "torch; extra == 'workers'")
]


@pytest.mark.parametrize(
    ("extra", "installed", "expected"),
    [
        ("", {"msgspec": "0.20.0"}, Extra(missing=[], unfit=[], others=[])),
        ("", {"msgspec": "0.21.0"}, Extra(missing=[], unfit=[], others=["msgspec 0.21.0 for 0.20.0"])),
        ("stream", {"redis": "5.0"}, Extra(missing=[], unfit=["redis 5.0 (it has to be >=6)"], others=[])),
        ("stream", {}, Extra(missing=["redis"], unfit=[], others=[])),
        ("workers", {"torch": "2.13.0+cpu"}, Extra(missing=[], unfit=[], others=[])),
    ],
)
def test_what_is_installed_of_an_extra(extra: str, installed: dict[str, str], expected: Extra) -> None:
    made_with = {"msgspec": "0.20.0", "torch": "2.13.0"}
    assert surveyed(extra, WANTED, made_with, installed.get) == expected


@pytest.mark.parametrize(
    ("extra", "found", "verdict", "said"),
    [
        ("stream", Extra(missing=[], unfit=[], others=[]), "ok", "streakline[stream], for x, is installed"),
        ("stream", Extra(missing=[], unfit=[], others=["a 2 for 1"]), "ok", "release was made with: a 2 for 1"),
        ("stream", Extra(missing=["faust"], unfit=[], others=[]), "ok", "pip install 'streakline[stream]'"),
        ("stream", Extra(missing=["faust"], unfit=["redis 5"], others=[]), "wrong", "redis 5"),
        ("", Extra(missing=["rich"], unfit=[], others=[]), "wrong", "rich is missing"),
    ],
)
def test_what_is_said_of_an_extra(extra: str, found: Extra, verdict: str, said: str) -> None:
    finding = judge_extra(extra, "x", found)
    assert finding.verdict == verdict
    assert said in finding.finding


def redis(version: str = "7.2.4", max_bytes: int = 0, policy: str = "noeviction", skew: float = 0.1) -> RedisFacts:
    return RedisFacts(version=version, max_bytes=max_bytes, policy=policy, skew_seconds=skew)


@pytest.mark.parametrize(
    ("facts", "verdicts", "said"),
    [
        (redis(), ["ok"], "it answers, as version 7.2.4"),
        (redis(max_bytes=GIB), ["ok"], "it answers, as version 7.2.4"),
        (redis(policy="allkeys-lru"), ["ok"], "it answers, as version 7.2.4"),
        (
            redis(max_bytes=GIB, policy="allkeys-lru"),
            ["ok", "warning"],
            "over 1024 MiB it throws keys away (allkeys-lru)",
        ),
        (redis(version="4.0.14"), ["ok", "wrong"], "version 4.0.14 lacks commands"),
        (redis(skew=-90.0), ["ok", "warning"], "its clock is -90 s from ours"),
        (
            RedisFacts(version=None, max_bytes=None, policy=None, skew_seconds=None),
            ["ok"],
            "does not let this user ask",
        ),
    ],
)
def test_what_is_said_of_redis(facts: RedisFacts, verdicts: list[str], said: str) -> None:
    found = list(judge_redis(facts))
    assert [each.verdict for each in found] == verdicts
    assert said in found[-1].finding
