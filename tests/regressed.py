"""Signals of categories that regressed, as the stream app publishes them."""

from producers.events import CategoryRegression, Signal

TS = 1769853600.5


def regressed(run_id: str, category: str, *, diff_id: str = "0" * 16, project: str = "p", score: float = 0.7) -> Signal:
    """Of a run that completed on 2026-01-31."""
    return Signal(
        signal_id=f"{run_id}/0/0/category_regressed/{category}",
        run_id=run_id,
        project=project,
        attempt=0,
        step=0,
        ts=TS,
        type="category_regressed",
        severity="warning",
        metric=f"score.{category}",
        value=score,
        threshold=0.75,
        layers=None,
        epoch=None,
        message="it fell behind",
        action=None,
        regression=CategoryRegression(
            category=category,
            diff_id=diff_id,
            base_sha="ab" * 8,
            ft_sha="cd" * 8,
            prior_run_id="before",
            prior_score=0.8,
            drop_basis_points=1000,
            n=100,
            prior_n=100,
            standard_error=0.06,
            significant=False,
        ),
    )


def diverging(run_id: str, step: int) -> Signal:
    """What the topic carries besides."""
    return Signal(
        signal_id=f"{run_id}/0/{step}/loss_diverging",
        run_id=run_id,
        project="p",
        attempt=0,
        step=step,
        ts=TS,
        type="loss_diverging",
        severity="critical",
        metric="loss",
        value=9.0,
        threshold=3.0,
        layers=None,
        epoch=None,
        message="no category_regressed here",
        action=None,
    )
