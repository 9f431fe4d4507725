"""What `streakline diff` is asked for, as the job that a diff worker would get from Kafka."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from producers.events import Project, RunId
from streakline.cli.errors import CommandError, ExitCode
from workers.jobs import DiffJob
from workers.uris import said, shown

_NOT_IN_IDENTIFIERS = re.compile(r"[^A-Za-z0-9._:/@-]+")
_LONGEST_IDENTIFIER = 128


def job_by_hand(
    base: str,
    ft: str,
    *,
    eval_set: str | None,
    saes: Sequence[str],
    tokenizer: str | None,
    run_id: str | None,
    project: str,
) -> DiffJob:
    """The job, with places on this machine made absolute.

    Raises `CommandError` for a run or a project that cannot be called so, and where the checkpoint cannot be seen.
    """
    checkpoint = absolute(ft)
    return DiffJob(
        run_id=_valid("--run-id", run_id_of(checkpoint) if run_id is None else run_id, RunId),
        project=_valid("--project", project, Project),
        base_model=absolute(base),
        checkpoint=checkpoint,
        completed_at=newest_file_seconds(checkpoint),
        eval_set=None if eval_set is None else absolute(eval_set),
        saes=tuple(map(absolute, saes)) or None,
        tokenizer=None if tokenizer is None else absolute(tokenizer),
    )


def places(job: DiffJob) -> list[str]:
    """Every folder and file that the job names: who names them by hand may have them read."""
    named = (job.base_model, job.checkpoint, job.eval_set, *(job.saes or ()), job.tokenizer)
    return [place for place in named if place is not None]


def absolute(place: str) -> str:
    """The same folder or file, whatever folder is current; a URI stays as it is."""
    return place if _is_uri(place) else str(Path(place).absolute())


def run_id_of(checkpoint: str) -> str:
    """What a run is called whose checkpoint lies there: by the folder's name.

    >>> run_id_of("/runs/sft 7 (final)"), run_id_of("s3://models/sft-7/"), run_id_of("/")
    ('sft-7-final', 'sft-7', 'checkpoint')
    """
    name = urlsplit(checkpoint).path if _is_uri(checkpoint) else str(Path(checkpoint).resolve())
    valid = _NOT_IN_IDENTIFIERS.sub("-", name.rstrip("/").rpartition("/")[2])[:_LONGEST_IDENTIFIER].strip("-")
    return valid or "checkpoint"


def newest_file_seconds(checkpoint: str) -> float:
    """When the newest file of the checkpoint was written, in Unix seconds: the same each time it is asked.

    Raises `CommandError` where there is no file.
    """
    from pyarrow import fs

    try:
        filesystem, path = fs.FileSystem.from_uri(checkpoint)
        found = filesystem.get_file_info(fs.FileSelector(path, recursive=True))
    except (OSError, ValueError) as error:
        raise _no_checkpoint(checkpoint, said(error, checkpoint)) from None
    times: list[int] = [info.mtime_ns for info in found if info.is_file]
    if not times:
        raise _no_checkpoint(checkpoint, "no file in it")
    return max(times) / 1e9


def _no_checkpoint(checkpoint: str, why: str) -> CommandError:
    return CommandError(
        f"there is no checkpoint at {shown(checkpoint)} ({why}): name a folder of safetensors", ExitCode.BAD_INPUT
    )


def _valid(option: str, value: str, kind: Any) -> str:
    try:
        valid: str = msgspec.convert(value, kind)
    except msgspec.ValidationError:
        raise CommandError(
            f"{option} {value!r} cannot be used: 1 to 128 characters of A-Z a-z 0-9 . _ : / @ -", ExitCode.USAGE
        ) from None
    return valid


def _is_uri(place: str) -> bool:
    return "://" in place or place.startswith("file:")
