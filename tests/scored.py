"""Diffs of checkpoints of which one score is known."""

from producers.events import CategoryScore, DiffCompleted


def scored_diff(run_id: str, *, project: str, ts: float, score: float) -> DiffCompleted:
    """In the category math, of 400 questions; another diff at each `ts`."""
    return DiffCompleted(
        run_id=run_id,
        ts=ts,
        diff_id=f"{int(ts):016x}",
        base_sha="ab" * 8,
        ft_sha="cd" * 8,
        probes_sha="ef" * 8,
        project=project,
        categories=(CategoryScore(category="math", score=score, n=400, standard_error=0.02),),
    )
