"""Two diff workers at once, one of them killed or not: each diff is made once, each base measured once.

The real engine on small models, a real broker and a real Redis server.
"""

import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from producers.events import DiffCompleted, DiffFailed
from tests.diff_pool import Pool, Undisturbed, files_in, made_undisturbed, reader, shown
from tests.small_diffs import job, write_checkpoint, write_probes, write_sae
from workers.jobs import DiffJob

RUNS = {"run-1": "base", "run-4": "base", "run-5": "base-2", "run-6": "base-2"}
"""and whose fine-tunes they are; of each base, one is on a partition of the first worker and one on the second's"""
BROKEN = "run-10"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    write_sae(root / "sae")
    write_probes(root / "probes.jsonl", per_kind=1)
    write_checkpoint(root / "base")
    write_checkpoint(root / "base-2", moved=0.05)
    for number, run in enumerate((*RUNS, BROKEN)):
        write_checkpoint(root / run, moved=0.2 + number / 10)
    weights = root / BROKEN / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    return root


def asked(root: Path, run: str) -> DiffJob:
    return job(root, run_id=run, base_model=str(root / RUNS.get(run, "base")), checkpoint=str(root / run))


@pytest.fixture(scope="module")
def undisturbed(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    lake = tmp_path_factory.mktemp("undisturbed") / "lake"
    return made_undisturbed(root, lake, *(asked(root, run) for run in RUNS))


@pytest.fixture
def pool(broker: str, redis_url: str, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    # Long enough for a lease to be kept, and a place in the group, on a machine that has much else to do.
    pool = Pool(
        broker,
        redis_url,
        root,
        tmp_path_factory.mktemp("pool"),
        partitions=4,
        lease_seconds=5.0,
        session_timeout_seconds=6.0,
    )
    yield pool
    pool.close()


@pytest.mark.parametrize(
    "point",
    [
        None,
        "within calibration of base",
        "halfway through sae_feature_diff",
        "after moving runs",
    ],
)
def test_each_diff_is_made_once(pool: Pool, undisturbed: Undisturbed, point: str | None) -> None:
    lake = pool.folder / "lake"
    first, second = pool.start_all(lake, [point, None])
    pool.complete(*(asked(pool.root, run) for run in ("run-1", "run-4", BROKEN, "run-5", "run-6")))
    look = reader(lake, undisturbed)
    pool.wait_until(lambda: pool.is_done(5), lake, look)
    if point is None:
        pool.end(first, lake)
    else:
        assert first.exit_status == -signal.SIGKILL
    pool.end(second, lake)

    assert files_in(lake) == files_in(undisturbed.lake)
    assert shown(lake) == undisturbed.rows
    told = pool.diffs()
    assert {each for each in told if isinstance(each, DiffCompleted)} == set(undisturbed.events.values())
    assert {each.run_id: each.reason for each in told if isinstance(each, DiffFailed)} == {BROKEN: "checkpoint_invalid"}
    assert {each.key() for each in pool.dead_letters()} == {BROKEN.encode()}

    notes = pool.notes(lake)
    assert Counter(what for kind, what, _ in notes if kind == "measured") == {"base": 1, "base-2": 1}
    workers = {by for kind, _, by in notes if kind == "begin"}
    assert workers == {str(first.pid), str(second.pid)}
    begun = Counter(what for kind, what, _ in notes if kind == "begin")
    taken_over = unfinished(notes)
    assert begun == {run: 2 if run in taken_over and point != "after moving runs" else 1 for run in RUNS}
    assert len(taken_over) == (point is not None)


def unfinished(notes: list[list[str]]) -> set[str]:
    """The runs whose worker was killed while it made their diff. Fails where two workers made one at once."""
    making: dict[str, str] = {}
    taken_over: set[str] = set()
    for kind, what, by in notes:
        if kind == "begin":
            assert what not in making, f"{what} is made twice at once: {notes}"
            making[what] = by
        elif kind == "end":
            assert making.pop(what) == by
        elif kind == "killed":
            taken_over |= {run for run, who in making.items() if who == by}
            making = {run: who for run, who in making.items() if who != by}
    assert not making
    return taken_over
