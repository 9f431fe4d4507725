"""What `streakline diff` makes of its arguments."""

import os
from pathlib import Path

import pytest

from streakline.cli.by_hand import job_by_hand, newest_file_seconds, places, run_id_of
from streakline.cli.errors import CommandError
from workers.jobs import DiffJob


def checkpoint(folder: Path, *seconds: float) -> Path:
    """A folder with a file that was written at each of these moments."""
    folder.mkdir(parents=True)
    for number, at in enumerate(seconds):
        path = folder / f"file-{number}"
        path.touch()
        os.utime(path, (at, at))
    return folder


def job(ft: Path | str, run_id: str | None = None, project: str = "default") -> DiffJob:
    return job_by_hand(
        "base", str(ft), eval_set="probes.jsonl", saes=["sae"], tokenizer=None, run_id=run_id, project=project
    )


def test_places_on_this_machine_are_absolute_and_the_only_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    checkpoint(tmp_path / "ft", 5.0)
    asked = job("ft")
    assert (asked.base_model, asked.checkpoint) == (str(tmp_path / "base"), str(tmp_path / "ft"))
    assert places(asked) == [str(tmp_path / name) for name in ("base", "ft", "probes.jsonl", "sae")]


def test_a_run_completed_when_the_newest_file_of_its_checkpoint_was_written(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "ft", 100.25, 300.5, 200.0)
    checkpoint(folder / "inner", 300.75)
    assert job(folder).completed_at == 300.75
    assert job(folder).day == "1970-01-01"


def test_a_run_is_called_as_its_checkpoints_folder_unless_it_is_named(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "sft 7: épreuve", 1.0)
    assert job(folder).run_id == "sft-7:-preuve"
    assert job(folder, run_id="team/sft-7").run_id == "team/sft-7"
    assert len(run_id_of("/" + "x" * 300)) == 128


@pytest.mark.parametrize(
    ("names", "option"), [({"run_id": "a b"}, "--run-id 'a b'"), ({"project": "x" * 129}, "--project 'xxx")]
)
def test_a_name_that_cannot_be_one_is_one_sentence(names: dict[str, str], option: str, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=f"^{option}.* cannot be used: 1 to 128 characters"):
        job(checkpoint(tmp_path / "ft", 1.0), **names)


@pytest.mark.parametrize(("place", "why"), [("missing", "No such file"), ("empty", "no file in it")])
def test_a_checkpoint_that_is_none_is_one_sentence(place: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(CommandError, match=rf"no checkpoint at .*{place} \(.*{why}.*\): name a folder of safetensors"):
        newest_file_seconds(str(tmp_path / place))


def test_a_place_that_nobody_can_read_is_one_sentence() -> None:
    with pytest.raises(CommandError, match="no checkpoint at ftp://host/ft"):
        newest_file_seconds("ftp://host/ft")
