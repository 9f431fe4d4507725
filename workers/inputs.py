"""What a diff reads, found under the roots and checked before a model is loaded."""

from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from workers.behaviour.rows import stretch
from workers.behaviour.scorers import require
from workers.errors import TransientDiffError
from workers.jobs import DiffJob
from workers.models.checkpoint import Checkpoint, check_pair, inspect, tokenizer_home, tokenizer_sha
from workers.models.language_model import Done
from workers.models.locations import find
from workers.probes.reading import ProbeSet, default_probes, read_probes
from workers.settings import DiffSettings

Stamp = tuple[tuple[str, int, int], ...]


class Inputs(Struct, frozen=True, kw_only=True):
    """Everything by its local place and, where it says what was measured, its SHA-256."""

    base: Checkpoint
    fine_tuned: Checkpoint
    tokenizer: Path
    """whose tokenizer both models are asked with"""
    tokenizer_sha: str
    probes: ProbeSet
    sae_folders: tuple[Path, ...]
    stamp: Stamp
    """of the two models' files as they were hashed"""

    def check_untouched(self) -> None:
        """Raise `TransientDiffError` where a model's file was written to since: its hash says nothing now."""
        if _stamp(self.base.folder, self.fine_tuned.folder) != self.stamp:
            raise TransientDiffError(
                "unavailable",
                f"{self.base.folder} or {self.fine_tuned.folder} was written to while it was read. "
                "Publish a run's end once its checkpoint is saved.",
            )


def read_inputs(job: DiffJob, settings: DiffSettings, roots: Sequence[str], done: Done) -> Inputs:
    """Find and hash it all; raises `DiffError`, the first thing that is wrong."""
    base_folder = find(job.base_model, roots, "base model")
    ft_folder = find(job.checkpoint, roots, "checkpoint")
    tokenizer = None if job.tokenizer is None else find(job.tokenizer, roots, "tokenizer")
    saes = settings.sae_folders if job.saes is None else job.saes
    sae_folders = tuple(find(sae, roots, "SAE") for sae in saes)
    probes = _probes(job.eval_set or settings.probes, roots)
    require(probes.probes)
    # Before they are read: a file that changes in between must show.
    stamp = _stamp(base_folder, ft_folder)
    base = inspect(base_folder, stretch(done, 0.0, 0.5))
    fine_tuned = inspect(ft_folder, stretch(done, 0.5, 1.0))
    check_pair(base, fine_tuned)
    home = tokenizer_home(tokenizer, ft_folder, base_folder)
    return Inputs(
        base=base,
        fine_tuned=fine_tuned,
        tokenizer=home,
        tokenizer_sha=tokenizer_sha(home),
        probes=probes,
        sae_folders=sae_folders,
        stamp=stamp,
    )


def _probes(place: str | None, roots: Sequence[str]) -> ProbeSet:
    return default_probes() if place is None else read_probes(find(place, roots, "probe file"))


def _stamp(*folders: Path) -> Stamp:
    files = sorted(path for folder in folders if folder.is_dir() for path in folder.iterdir() if path.is_file())
    return tuple((str(path), (stat := path.stat()).st_size, stat.st_mtime_ns) for path in files)
