"""Whether a run's checkpoint fell behind that of the run before it: pure, one diff of a project at a time.

The run before it is the one of the same project that completed immediately before, and was scored in the category.
A run with another base model or other probes than the one before it begins a new series, and is compared with nothing.
"""

import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence

from msgspec.structs import replace

from producers.events import CategoryRegression, DiffCompleted, Signal
from stream_app.histories import ProjectHistory, Scored, ScoredRun

MAX_RUNS = 32
"""of a project, the latest: what completed before all of them is not looked at any more"""
MAX_SUPERSEDED = 8
ALLOWED_BASIS_POINTS = 500
SIGNIFICANT_ERRORS = 1.96
"""standard errors of the difference that a drop has to exceed: 95% of chance is within them"""


def advance(history: ProjectHistory, event: DiffCompleted) -> tuple[ProjectHistory, list[Signal]]:
    """`history` with the diff in its place by completion, and a signal for each category that regressed.

    The very same history, and no signals, where there is nothing new: no scores, a diff that is known, or a run that
    completed before all that are kept. Another diff of a run takes the place of the one before. Runs that completed
    later keep the verdict they got.

    >>> from producers.events import CategoryScore
    >>> def diff(run_id, ts, score):
    ...     scores = (CategoryScore(category="math", score=score, n=400, standard_error=0.02),)
    ...     shas = {"base_sha": "ab" * 8, "ft_sha": "cd" * 8, "probes_sha": "ef" * 8}
    ...     return DiffCompleted(run_id=run_id, ts=ts, diff_id=f"{int(ts):016x}", categories=scores, **shas)
    >>> history, signals = advance(ProjectHistory(), diff("a", 1.0, 0.75))
    >>> signals
    []
    >>> history, signals = advance(history, diff("b", 2.0, 0.65))
    >>> signals[0].message
    'math: the checkpoint scores 65.00%, 10.00 points below the 75.00% of run a before it'
    """
    if not event.categories or any(event.diff_id in (run.diff_id, *run.superseded) for run in history.runs):
        return history, []
    run = _scored(event)
    others = [other for other in history.runs if (other.run_id, other.attempt) != (run.run_id, run.attempt)]
    for other in history.runs:
        if other not in others:
            run = replace(run, superseded=(*other.superseded, other.diff_id)[-MAX_SUPERSEDED:])
    place = bisect_left(others, _completion(run), key=_completion)
    if place == 0 and len(others) >= MAX_RUNS:
        return history, []
    earlier = others[:place]
    signals = [
        _signal(event, category, run.scores[category], prior)
        for category, prior in _priors(earlier, run)
        if _drop(run.scores[category], prior.scores[category]) > ALLOWED_BASIS_POINTS
    ]
    runs = (*earlier, run, *others[place:])[-MAX_RUNS:]
    return replace(history, runs=runs, revision=history.revision + 1), signals


def latest_deltas(history: ProjectHistory) -> Mapping[str, float]:
    """Category → score of the latest run less that of the run before it; only where there is one."""
    if not history.runs:
        return {}
    *earlier, run = history.runs
    return {
        category: -_drop(run.scores[category], prior.scores[category]) / 10_000
        for category, prior in _priors(earlier, run)
    }


def _scored(event: DiffCompleted) -> ScoredRun:
    scores = {each.category: Scored(each.score, each.n, each.standard_error) for each in event.categories}
    shas = event.base_sha, event.probes_sha
    return ScoredRun(event.ts, event.run_id, event.attempt, event.diff_id, (), *shas, scores)


def _completion(run: ScoredRun) -> tuple[float, str, int]:
    return run.ts, run.run_id, run.attempt


def _priors(earlier: Sequence[ScoredRun], run: ScoredRun) -> Iterator[tuple[str, ScoredRun]]:
    """Each category of `run` with the run that it is compared with, where there is one; by category."""
    series = []
    for other in reversed(earlier):
        if (other.base_sha, other.probes_sha) != (run.base_sha, run.probes_sha):
            break
        series.append(other)
    for category in sorted(run.scores):
        prior = next((other for other in series if category in other.scores), None)
        if prior is not None:
            yield category, prior


def _drop(scored: Scored, prior: Scored) -> int:
    return prior.basis_points - scored.basis_points


def _signal(event: DiffCompleted, category: str, scored: Scored, prior_run: ScoredRun) -> Signal:
    prior = prior_run.scores[category]
    drop = _drop(scored, prior)
    # No share of rights and wrongs has a larger one; a hostile one must not become infinite.
    error = min(1.0, math.hypot(scored.standard_error, prior.standard_error))
    is_significant = drop / 10_000 > SIGNIFICANT_ERRORS * error
    return Signal(
        # A diff does not know how many steps its run took.
        signal_id=f"{event.run_id}/{event.attempt}/0/category_regressed/{category}",
        run_id=event.run_id,
        project=event.project,
        attempt=event.attempt,
        step=0,
        ts=event.ts,
        type="category_regressed",
        severity="warning",
        metric=f"score.{category}",
        value=scored.score,
        threshold=(prior.basis_points - ALLOWED_BASIS_POINTS) / 10_000,
        layers=None,
        epoch=None,
        message=f"{category}: the checkpoint scores {scored.basis_points / 100:.2f}%, {drop / 100:.2f} points below "
        f"the {prior.basis_points / 100:.2f}% of run {prior_run.run_id} before it"
        + ("" if is_significant else f", which may be chance at {min(scored.n, prior.n)} questions"),
        action=None,
        regression=CategoryRegression(
            category=category,
            diff_id=event.diff_id,
            base_sha=event.base_sha,
            ft_sha=event.ft_sha,
            prior_run_id=prior_run.run_id,
            prior_score=prior.score,
            drop_basis_points=drop,
            n=scored.n,
            prior_n=prior.n,
            standard_error=error,
            significant=is_significant,
        ),
    )
