"""Whole diffs of small models: what is in the lake, and what there is where something is wrong."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest
import torch

from producers.events import DiffCompleted
from tests.small_diffs import COMPLETED_AT, LAYER, job, write_all, write_checkpoint, write_sae
from workers.base_cache import BaseCache
from workers.diff import DiffMaker
from workers.errors import DiffCancelled, DiffError, TransientDiffError
from workers.jobs import DiffJob
from workers.lake.tables import TABLES
from workers.lake.views import views
from workers.lake.writer import Lake
from workers.progress import Stage, silent
from workers.settings import DiffSettings

OF_A_DIFF = sorted(set(TABLES) - {"regressions"})


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_all(tmp_path_factory.mktemp("diff"))


def maker(lake: Path, *roots: Path) -> DiffMaker:
    settings = DiffSettings(lake=str(lake), model_roots=",".join(map(str, roots)), device="cpu")
    return DiffMaker(settings, cache=BaseCache(Lake(settings.lake), None, None))


def files_in(lake: Path) -> dict[str, bytes]:
    """Of the tables, not of the cache."""
    files = {str(path.relative_to(lake)): path.read_bytes() for path in lake.rglob("*") if path.is_file()}
    return {name: data for name, data in files.items() if not name.startswith("base_cache/")}


def query(lake: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        connection.execute(views(str(lake)))
        return connection.execute(sql).fetchall()


@pytest.fixture(scope="module")
def made(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DiffCompleted]:
    lake = tmp_path_factory.mktemp("lake")
    return lake, maker(lake, root)(job(root), silent)


def test_every_table_is_there_and_the_event_says_what_they_say(made: tuple[Path, DiffCompleted]) -> None:
    lake, event = made
    assert {name.split("/")[0] for name in files_in(lake)} == set(OF_A_DIFF)
    for table in OF_A_DIFF:
        ((n, diffs),) = query(lake, f"SELECT count(*), count(DISTINCT (run_id, diff_id, project)) FROM {table}")
        assert (table, n > 0, diffs) == (table, True, 1)
    assert (event.run_id, event.project, event.attempt, event.ts) == ("run-1", "p", 7, COMPLETED_AT)
    stored = query(lake, "SELECT diff_id, base_sha, ft_sha, probes_sha, heaviest_layers FROM runs")
    assert stored == [(event.diff_id, event.base_sha, event.ft_sha, event.probes_sha, list(event.heaviest_layers))]
    scores = "SELECT score, base, fine_tuned, verdict FROM model_diff WHERE scope = 'overall' AND verdict IS NOT NULL"
    assert sorted(query(lake, scores)) == sorted(msgspec.structs.astuple(score) for score in event.scores)
    categories = "SELECT category, fine_tuned, n FROM model_diff WHERE score = 'accuracy' AND scope = 'category'"
    assert sorted(query(lake, categories)) == sorted((each.category, each.score, each.n) for each in event.categories)
    assert event.heaviest_layers == (LAYER,)


def test_changed_features_have_labels(made: tuple[Path, DiffCompleted]) -> None:
    lake, _ = made
    ((changed, labelled),) = query(lake, "SELECT count(*), count(label) FROM sae_feature_diff WHERE changed")
    assert changed == labelled > 0
    ((top, label),) = query(lake, "SELECT top_feature, top_feature_label FROM sae_layer_diff")
    assert query(lake, f"SELECT label FROM sae_feature_diff WHERE feature = {top}") == [(label,)]


def test_again_in_another_lake_gives_the_same_bytes_with_the_base_from_the_cache_or_not(
    made: tuple[Path, DiffCompleted], root: Path, tmp_path: Path
) -> None:
    lake, event = made
    assert maker(tmp_path, root)(job(root), silent) == event
    expected = files_in(lake)
    assert files_in(tmp_path) == expected
    for table in OF_A_DIFF:
        shutil.rmtree(tmp_path / table)
    stages: list[Stage] = []
    assert maker(tmp_path, root)(job(root), lambda stage, _: stages.append(stage)) == event
    assert files_in(tmp_path) == expected
    begun = [stage for stage, before in zip(stages, ["", *stages], strict=False) if stage != before]
    assert begun == ["reading", "loading", "behaviour", "calibration", "features", "labels", "writing"]


def test_what_the_lake_has_is_not_made_again(made: tuple[Path, DiffCompleted], root: Path) -> None:
    lake, event = made
    stages: set[Stage] = set()
    assert maker(lake, root)(job(root), lambda stage, _: stages.add(stage)) == event
    assert stages == {"reading"}


def test_a_base_against_itself_has_changed_nowhere(root: Path, tmp_path: Path) -> None:
    event = maker(tmp_path, root)(job(root, checkpoint=str(root / "base")), silent)
    assert {score.verdict for score in event.scores} == {"unchanged"}
    assert event.heaviest_layers == ()
    assert query(tmp_path, "SELECT DISTINCT delta, ci_low, ci_high FROM model_diff") == [(0.0, 0.0, 0.0)]
    assert query(tmp_path, "SELECT n_changed, mean_abs_delta, fvu_base = fvu_fine_tuned FROM sae_layer_diff") == [
        (0, 0.0, True)
    ]
    assert query(tmp_path, "SELECT count(*) FROM sae_feature_diff WHERE delta_mean <> 0") == [(0,)]
    both = "SELECT * EXCLUDE (model) FROM calibration_summary WHERE model = "
    assert query(tmp_path, f"{both} 'base'") == query(tmp_path, f"{both} 'fine_tuned'")


def test_without_saes_there_are_no_features(root: Path, tmp_path: Path) -> None:
    event = maker(tmp_path, root)(job(root, saes=()), silent)
    assert event.heaviest_layers == ()
    assert query(tmp_path, "SELECT count(*) FROM sae_layer_diff") == [(0,)]


def test_progress_only_grows_and_ends_at_one(root: Path, tmp_path: Path) -> None:
    told: list[float] = []
    maker(tmp_path, root)(job(root), lambda _, done: told.append(done))
    assert told == sorted(told)
    assert (told[0], round(told[-1], 9)) == (0.0, 1.0)


@pytest.mark.parametrize("stage", ["reading", "loading", "behaviour", "calibration", "features", "labels", "writing"])
def test_who_ends_it_ends_it_and_nothing_is_shown(root: Path, tmp_path: Path, stage: Stage) -> None:
    def progress(now: Stage, done: float, /) -> None:
        if now == stage and done > 0:
            raise DiffCancelled

    with pytest.raises(DiffCancelled):
        maker(tmp_path, root)(job(root), progress)
    assert not (tmp_path / "runs").exists()


def _changed(root: Path, tmp_path: Path, **changes: Any) -> DiffJob:
    return job(root, **{key: str(tmp_path / value) for key, value in changes.items()})


def _wider_sae(root: Path, tmp_path: Path) -> DiffJob:
    return job(root, saes=(str(write_sae(tmp_path / "wide", 24)),))


def _deeper_sae(root: Path, tmp_path: Path) -> DiffJob:
    folder = write_sae(tmp_path / "deep")
    config = folder / "cfg.json"
    config.write_text(config.read_text().replace(f"blocks.{LAYER}.", "blocks.30."))
    return job(root, saes=(str(folder),))


def _truncated(root: Path, tmp_path: Path) -> DiffJob:
    folder = write_checkpoint(tmp_path / "short")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    return job(root, checkpoint=str(folder))


def _pickled(root: Path, tmp_path: Path) -> DiffJob:
    folder = write_checkpoint(tmp_path / "pickled")
    (folder / "model.safetensors").unlink()
    torch.save({"weight": torch.zeros(2)}, folder / "pytorch_model.bin")
    return job(root, checkpoint=str(folder))


def _probes(root: Path, tmp_path: Path, text: str) -> DiffJob:
    (tmp_path / "own.jsonl").write_text(text)
    return _changed(root, tmp_path, eval_set="own.jsonl")


@pytest.mark.parametrize(
    ("bad", "reason", "says"),
    [
        (lambda root, tmp: _changed(root, tmp, checkpoint="none"), "missing", "is not there"),
        (lambda root, tmp: _changed(root, tmp, base_model="none"), "missing", "is not there"),
        (lambda root, _: job(root, checkpoint="/etc"), "outside_roots", "STREAKLINE_MODEL_ROOTS"),
        (lambda root, _: job(root, checkpoint="https://example.com/x"), "outside_roots", "roots"),
        (
            lambda root, tmp: job(root, checkpoint=str(write_checkpoint(tmp / "other", family="gpt2"))),
            "models_differ",
            "architecture",
        ),
        (_truncated, "checkpoint_invalid", "model.safetensors"),
        (_pickled, "unsafe_format", "pickle"),
        (_wider_sae, "sae_mismatch", "24 wide"),
        (_deeper_sae, "sae_mismatch", "layer 30"),
        (lambda root, tmp: job(root, saes=(str(tmp / "none"),)), "missing", "SAE"),
        (lambda root, tmp: _probes(root, tmp, "\n"), "probes_invalid", "no probes"),
        (lambda root, tmp: _probes(root, tmp, '{"id": "a"}\n'), "probes_invalid", "row 1"),
        (lambda root, tmp: _changed(root, tmp, tokenizer="none"), "missing", "tokenizer"),
    ],
)
def test_bad_input_is_one_sentence(
    bad: Callable[[Path, Path], DiffJob], reason: str, says: str, root: Path, tmp_path: Path
) -> None:
    lake = tmp_path / "lake"
    with pytest.raises(DiffError) as caught:
        maker(lake, root, tmp_path)(bad(root, tmp_path), silent)
    assert caught.value.reason == reason
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not lake.exists()


def test_a_checkpoint_that_is_still_being_written_is_tried_again(root: Path, tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "busy", moved=0.1)

    def write_on(stage: Stage, done: float, /) -> None:
        if stage == "calibration":
            (folder / "optimizer.bin").write_bytes(b"more")

    lake = tmp_path / "lake"
    with pytest.raises(TransientDiffError, match="was written to"):
        maker(lake, root, tmp_path)(job(root, checkpoint=str(folder)), write_on)
    assert not lake.exists()
