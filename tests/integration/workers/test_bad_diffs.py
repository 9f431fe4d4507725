"""`streakline diff-worker` on runs whose diffs cannot be made: each is told of once, and the worker lives on."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from producers.codec import encode
from producers.events import DiffCompleted, DiffFailed
from producers.settings import to_environ
from streakline.processes import spawn, stop
from tests.diff_pool import Pool, diff_settings, run_completed, shown
from tests.small_diffs import job, write_all, write_checkpoint, write_probes, write_sae
from tests.unit.workers.models.small_models import build
from tests.worker import header
from workers.jobs import DiffJob

Change = Callable[[Path], dict[str, Any]]


def _missing(folder: Path) -> dict[str, Any]:
    return {"checkpoint": str(folder)}


def _other_architecture(folder: Path) -> dict[str, Any]:
    return {"checkpoint": str(write_checkpoint(folder, family="gpt2"))}


def _other_shapes(folder: Path) -> dict[str, Any]:
    """What its config.json says is right, and not what the weights are."""
    write_checkpoint(folder)
    weights = {name: weight.detach().clone() for name, weight in build("llama").state_dict().items()}
    name = next(name for name in weights if name.endswith("mlp.up_proj.weight"))
    weights[name] = weights[name][:-1]
    build("llama").save_pretrained(folder, state_dict=weights)
    return {"checkpoint": str(folder)}


def _truncated(folder: Path) -> dict[str, Any]:
    weights = write_checkpoint(folder) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    return {"checkpoint": str(folder)}


def _pickled(folder: Path) -> dict[str, Any]:
    write_checkpoint(folder)
    (folder / "model.safetensors").unlink()
    torch.save(build("llama").state_dict(), folder / "pytorch_model.bin")
    return {"checkpoint": str(folder)}


def _outside(folder: Path) -> dict[str, Any]:
    """By a link inside the roots."""
    folder.symlink_to("/etc")
    return {"checkpoint": str(folder)}


def _probes(folder: Path, text: str) -> dict[str, Any]:
    path = folder.with_suffix(".jsonl")
    path.write_text(text)
    return {"eval_set": str(path)}


def _wide_sae(folder: Path) -> dict[str, Any]:
    return {"saes": (str(write_sae(folder, 24)),)}


def _unsupported_sae(folder: Path) -> dict[str, Any]:
    config = write_sae(folder) / "cfg.json"
    fields = json.loads(config.read_text()) | {"normalize_activations": "expected_average_only_in"}
    config.write_text(json.dumps(fields))
    return {"saes": (str(folder),)}


BAD: dict[str, tuple[Change, str, str]] = {
    "missing": (_missing, "missing", "is not there"),
    "architecture": (_other_architecture, "models_differ", "architecture"),
    "shapes": (_other_shapes, "checkpoint_invalid", "up_proj"),
    "truncated": (_truncated, "checkpoint_invalid", "model.safetensors"),
    "pickled": (_pickled, "unsafe_format", "pickle"),
    "outside": (_outside, "outside_roots", "STREAKLINE_MODEL_ROOTS"),
    "no-probes": (lambda folder: _probes(folder, "\n"), "probes_invalid", "no probes"),
    "bad-probes": (
        lambda folder: _probes(folder, '{"id": "a", "category": "c", "prompt": "p"}\n{"id": "b"}\n'),
        "probes_invalid",
        "row 2",
    ),
    "wide-sae": (_wide_sae, "sae_mismatch", "24 wide"),
    "unsupported-sae": (_unsupported_sae, "sae_unsupported", "expected_average_only_in"),
}
"""run → what is wrong with it, the reason and a part of the sentence that are told"""


@pytest.fixture
def pool(broker: str, redis_url: str, tmp_path: Path) -> Iterator[Pool]:
    root = write_all(tmp_path / "models")
    write_probes(root / "probes.jsonl", per_kind=1)
    folder = tmp_path / "pool"
    folder.mkdir()
    pool = Pool(broker, redis_url, root, folder, partitions=1, lease_seconds=5.0, session_timeout_seconds=6.0)
    yield pool
    pool.close()


@pytest.fixture
def worker(pool: Pool, tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """The command itself, all of it from the environment."""
    structs = (pool.kafka, pool.topics, pool.settings, diff_settings(pool.root, pool.folder / "lake"))
    environ = {name: value for each in structs for name, value in to_environ(each).items()}
    command = [sys.executable, "-m", "streakline", "diff-worker"]
    process = spawn(command, log=pool.folder / "lake.log", environ=environ)
    yield process
    stop(process)


def test_each_is_told_of_once_and_the_next_diff_is_made(pool: Pool, worker: "subprocess.Popen[bytes]") -> None:
    jobs: list[DiffJob] = [
        job(pool.root, run_id=run, **change(pool.root / f"its-{run}")) for run, (change, *_) in BAD.items()
    ]
    good = [job(pool.root, run_id=run) for run in ("good-1", "good-2")]
    pool.complete(good[0], *jobs, good[1])
    lake = pool.folder / "lake"
    pool.wait_until(lambda: worker.poll() is not None or pool.committed() == len(jobs) + 2, lake)
    assert worker.poll() is None, "the worker ended"

    told = pool.diffs()
    assert [each.run_id for each in told] == ["good-1", *BAD, "good-2"]
    assert [type(each) for each in told] == [DiffCompleted, *(DiffFailed for _ in BAD), DiffCompleted]
    for failed in told:
        if isinstance(failed, DiffFailed):
            _, reason, says = BAD[failed.run_id]
            assert failed.reason == reason, failed
            assert says in failed.error
            assert "\n" not in failed.error
            assert (failed.project, failed.attempt, failed.ts) == (
                jobs[0].project,
                jobs[0].attempt,
                jobs[0].completed_at,
            )
    letters = pool.dead_letters()
    assert [each.value() for each in letters] == [encode(run_completed(each)) for each in jobs]
    assert [header(each, "reason") for each in letters] == [reason for _, reason, _ in BAD.values()]
    assert all(rows.keys() == {"good-1", "good-2"} for rows in shown(lake).values())
    assert pool.leases() == []
    assert (pool.folder / "lake.log").read_text().count("waiting for completed runs") == 1
