"""One process publishes, whoever started them, and without torch in sight."""

import subprocess
import sys

import pytest

from producers.ranks import any_rank, is_publishing_rank


@pytest.mark.parametrize(("rank", "publishes"), [(0, True), (1, False), (7, False)])
def test_the_rank_that_is_said(monkeypatch: pytest.MonkeyPatch, rank: int, publishes: bool) -> None:
    monkeypatch.setenv("RANK", "3")
    assert is_publishing_rank(rank) == publishes


@pytest.mark.parametrize(
    ("value", "publishes"), [("0", True), ("1", False), ("12", False), ("-1", True), ("", True), ("first", True)]
)
def test_the_launchers_rank(monkeypatch: pytest.MonkeyPatch, value: str, publishes: bool) -> None:
    monkeypatch.setenv("RANK", value)
    assert is_publishing_rank() == publishes


@pytest.mark.parametrize(("node", "local", "publishes"), [("0", "0", True), ("0", "1", False), ("1", "0", False)])
def test_a_launcher_that_numbers_nodes(monkeypatch: pytest.MonkeyPatch, node: str, local: str, publishes: bool) -> None:
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.setenv("NODE_RANK", node)
    monkeypatch.setenv("LOCAL_RANK", local)
    assert is_publishing_rank() == publishes
    monkeypatch.setenv("RANK", "0")
    assert is_publishing_rank()


def test_a_process_that_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "NODE_RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert is_publishing_rank()
    assert any_rank(True)
    assert not any_rank(False)


def test_the_process_groups_rank_goes_before_the_launchers(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch import distributed

    monkeypatch.setenv("RANK", "3")
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)  # type: ignore[attr-defined]
    try:
        assert is_publishing_rank()
        assert any_rank(True)
        assert not any_rank(False)
    finally:
        distributed.destroy_process_group()


def test_torch_is_not_imported() -> None:
    code = "import sys; from producers.ranks import *; any_rank(is_publishing_rank()); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
