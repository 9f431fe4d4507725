"""Reports made by hand: a run of which nothing is known but what a test says."""

from msgspec.structs import replace

from producers.events import Severity
from streakline.report.content import CategoryHistory, CategoryPoint, Diff, Marker, Report, Timeline
from tests.reported_rows import score_row


def report(**known: object) -> Report:
    """Of a run that completed, without a diff."""
    nothing = Report(
        run_id="sft-7",
        project="assistant",
        attempt=0,
        ending="completed",
        error=None,
        started=None,
        ended=None,
        config={},
        base_model=None,
        verdict="",
        gravity="neutral",
        findings=(),
        timelines=(),
        signals=(),
        signals_total=0,
        diff=None,
    )
    made = replace(nothing, **known)
    return replace(made, signals_total=max(made.signals_total, len(made.signals)))


def diff(**known: object) -> Diff:
    """In which no score has moved by more than chance would do."""
    nothing = Diff(
        diff_id="d" * 16,
        base_model="models/base",
        base_sha="a" * 16,
        checkpoint="runs/sft-7",
        ft_sha="b" * 16,
        architecture="LlamaForCausalLM",
        parameters=1000,
        dtype="float32",
        n_probes=341,
        scores=tuple(score_row(score, 0.5, 0.51) for score in ("consistency", "robustness", "accuracy")),
        layers=(),
        heaviest_layers=(),
        histories=(),
        calibration=(),
        bins=(),
        topics=(),
        low_confidence=(),
        low_confidence_total=0,
    )
    return replace(nothing, **known)


def timeline(steps: int, *, attempt: int = 0, non_finite: int = 0) -> Timeline:
    return Timeline(
        attempt=attempt,
        steps=tuple(range(steps)),
        loss=(1.0,) * steps,
        max_grad=(None,) * steps,
        total_steps=steps,
        non_finite=non_finite,
    )


def marker(type_: str, severity: Severity, step: int, *, attempt: int = 0, layers: tuple[str, ...] = ()) -> Marker:
    return Marker(
        attempt=attempt,
        step=step,
        ts=0.0,
        type=type_,
        severity=severity,
        value=1.0,
        threshold=None,
        layers=layers,
        message="told",
    )


def history(category: str, *, significant: bool, drop: int = 800, prior: str | None = "sft-6") -> CategoryHistory:
    """Of the run, which fell behind the one before it."""
    points = tuple(
        CategoryPoint(
            run_id=run_id,
            diff_id=diff_id,
            completed_at=0.0,
            score=score,
            n=200,
            standard_error=0.03,
            regressed=regressed,
            drop_basis_points=drop if regressed else None,
            significant=significant if regressed else None,
            prior_run_id=prior if regressed else None,
        )
        for run_id, diff_id, score, regressed in (("sft-6", "c" * 16, 0.6, False), ("sft-7", "d" * 16, 0.52, True))
    )
    return CategoryHistory(category=category, points=points)
