"""`streakline diff` on small models: what it shows, what it leaves in the lake, and how it fails."""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from producers.redis.client import connect
from streakline.cli.diff_figures import Figures
from streakline.processes import free_port
from streakline.redis_server import running_redis
from tests.commands import Ended, streakline
from tests.small_diffs import write_all

ALONE = {"STREAKLINE_REDIS_URL": f"redis://127.0.0.1:{free_port()}/0", "STREAKLINE_DEVICE": "cpu"}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_all(tmp_path_factory.mktemp("models"))


def diff(models: Path, lake: Path, *options: str | Path, environ: Mapping[str, str] = ALONE) -> Ended:
    own = ("--eval", models / "probes.jsonl", "--sae", models / "sae", "--lake", lake)
    return streakline("diff", models / "base", models / "fine-tuned", *own, *options, environ=environ)


def contents(lake: Path) -> dict[str, bytes]:
    return {str(path.relative_to(lake)): path.read_bytes() for path in lake.rglob("*") if path.is_file()}


def test_a_diff_by_hand_is_shown_and_kept_and_the_same_when_it_is_made_again(models: Path, tmp_path: Path) -> None:
    first = diff(models, tmp_path / "one")
    assert (first.code, first.err) == (0, "")
    assert first.lines[0] == f"fine-tuned: {models / 'fine-tuned'} against {models / 'base'}"
    starts = [line.split()[0] for line in first.lines if line]
    for score in ("consistency", "robustness", "suppression", "accuracy", "held-out", "1", "tables"):
        assert score in starts, score
    assert any(line.split()[0] == "1" and "changed" not in line for line in first.lines if line)
    assert contents(tmp_path / "one")
    (as_sql,) = (line.removeprefix("as SQL") for line in first.lines if line.startswith("as SQL"))
    asked = streakline(*shlex.split(as_sql)[1:], "--format", "jsonl")
    assert asked.code == 0
    assert {json.loads(line)["score"] for line in asked.lines} >= {"consistency", "accuracy"}
    # The lake has it: nothing is measured again.
    assert diff(models, tmp_path / "one").out == first.out
    again = diff(models, tmp_path / "two")
    assert again.code == 0
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


def test_json_is_one_document_with_the_event(models: Path, tmp_path: Path) -> None:
    ended = diff(models, tmp_path, "--json", "--run-id", "team/sft-7", "--project", "assistant")
    assert (ended.code, len(ended.lines)) == (0, 1)
    found = msgspec.json.decode(ended.lines[0], type=Figures)
    assert json.loads(ended.lines[0])["event"]["type"] == "diff_completed"
    assert (found.event.run_id, found.event.project) == ("team/sft-7", "assistant")
    assert [score.score for score in found.scores] == ["consistency", "robustness", "suppression", "accuracy"]
    assert [layer.layer for layer in found.layers] == [1]
    assert found.calibration[0].n > 0
    for table in ("runs", "model_diff", "sae_layer_diff"):
        assert (tmp_path / table / f"{found.file}.parquet").exists()
    assert (tmp_path / "low_confidence_rows" / f"{found.file}.jsonl").read_bytes().count(b"\n") == (
        found.low_confidence_rows
    )


def test_where_redis_answers_it_is_used(models: Path, tmp_path: Path) -> None:
    with running_redis() as url:
        ended = diff(models, tmp_path, environ={**ALONE, "STREAKLINE_REDIS_URL": url})
        assert (ended.code, ended.err) == (0, "")
        assert connect(url).exists("streakline.base_cache") == 1


def test_only_what_is_named_is_read(models: Path, tmp_path: Path) -> None:
    link = tmp_path / "ft"
    link.mkdir()
    for path in (models / "fine-tuned").iterdir():
        (link / path.name).symlink_to(path)
    arguments = ("diff", models / "base", link, "--eval", models / "probes.jsonl", "--lake", tmp_path / "lake")
    ended = streakline(*arguments, environ=ALONE)
    assert (ended.code, ended.out) == (1, "")
    assert "add its folder or bucket to STREAKLINE_MODEL_ROOTS" in ended.err
    assert streakline(*arguments, environ={**ALONE, "STREAKLINE_MODEL_ROOTS": str(models)}).code == 0


@pytest.mark.parametrize(
    ("option", "value", "code", "sentence"),
    [
        ("--eval", "{here}/none.jsonl", 1, "is not there"),
        ("--sae", "{here}", 1, "SAE"),
        ("--run-id", "a b", 2, "--run-id 'a b' cannot be used"),
        ("--lake", "nonsense://x", 2, "neither a folder nor a URI"),
        ("--device", "abacus", 2, "cannot be made: "),
    ],
)
def test_what_cannot_be_is_one_sentence(
    option: str, value: str, code: int, sentence: str, models: Path, tmp_path: Path
) -> None:
    ended = diff(models, tmp_path / "lake", option, value.format(here=tmp_path))
    assert (ended.code, ended.out) == (code, "")
    assert sentence in ended.err
    assert ended.err.count("\n") == 1


def test_a_redis_url_that_is_none_is_one_sentence(models: Path, tmp_path: Path) -> None:
    ended = diff(models, tmp_path, environ={**ALONE, "STREAKLINE_REDIS_URL": "nonsense"})
    assert ended.code == 2
    assert "STREAKLINE_REDIS_URL is no Redis URL" in ended.err
