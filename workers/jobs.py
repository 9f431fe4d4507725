"""What a diff is asked for, and how its result is named."""

import datetime as dt
import hashlib

from msgspec import Struct

from producers.events import RunCompleted


class DiffJob(Struct, frozen=True, kw_only=True):
    """Compare `checkpoint` with `base_model`; both are folders or URIs."""

    run_id: str
    project: str
    base_model: str
    checkpoint: str
    completed_at: float
    """Unix seconds, the event's: results carry no other time, so that doing it again gives the same bytes"""
    attempt: int = 0
    steps: int = 0
    eval_set: str | None = None
    """JSONL of probes; None: the settings'"""
    saes: tuple[str, ...] | None = None
    """folders of SAEs; None: the settings'"""
    tokenizer: str | None = None
    """folder or URI; None: the checkpoint's own, else the base's"""

    @property
    def day(self) -> str:
        """UTC date on which the run completed, YYYY-MM-DD."""
        return dt.datetime.fromtimestamp(self.completed_at, dt.UTC).date().isoformat()


def job_of(event: RunCompleted) -> DiffJob | None:
    """The diff that `event` asks for; None where it names no checkpoint or no base."""
    if event.checkpoint is None or event.base_model is None:
        return None
    return DiffJob(
        run_id=event.run_id,
        project=event.project,
        base_model=event.base_model,
        checkpoint=event.checkpoint,
        completed_at=event.ts,
        attempt=event.attempt,
        steps=event.steps,
        eval_set=event.eval_set,
        saes=event.saes,
        tokenizer=event.tokenizer,
    )


def diff_id_of(job: DiffJob, *, base_sha: str, ft_sha: str, config_hash: str) -> str:
    """The same for the same run, weights and way of measuring; 16 hexadecimal digits."""
    parts = (job.run_id, str(job.attempt), base_sha, ft_sha, config_hash)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
