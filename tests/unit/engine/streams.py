"""Streams of one run's events that reach every detector, for hypothesis."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import strategies as st

from producers.events import LayerKind, RunCompleted, RunFailed, RunStarted, SignalType, StepEvent, TrainerEvent

LAYERS = ("layers.0.self_attn", "layers.1/q_proj", "layers.0.mlp", "layers.0.self_attn.norm", "mixer")
NAN, INF = float("nan"), float("inf")


@dataclass
class Run:
    """A run as it is being made up."""

    attempt: int = 0
    step: int = -1
    loss: float = 2.0
    events: list[TrainerEvent] = field(default_factory=list)


Norms = dict[str, float | None]

healthy_norms: st.SearchStrategy[Norms] = st.fixed_dictionaries(
    {}, optional={layer: st.sampled_from([0.25, 0.5, 1e-6]) for layer in LAYERS}
)
odd_norms: st.SearchStrategy[Norms] = st.dictionaries(
    st.sampled_from(LAYERS), st.sampled_from([0.0, 9.9e-7, 1e-6, 0.5, 30.0, None, NAN, INF, -INF]), max_size=5
)


@st.composite
def stretches(draw: st.DrawFn, run: Run) -> None:
    """Some more steps of one character."""
    kind = draw(
        st.sampled_from(["calm", "rising", "flat", "spiking", "dead", "reported dead", "odd", "restart", "end", "told"])
    )
    length = draw(st.integers(1, 24))
    gap = draw(st.sampled_from([1, 1, 1, 2, 30]))
    kept: Norms = draw(odd_norms)
    listed = draw(st.lists(st.sampled_from(LAYERS), max_size=3))
    if kind in {"restart", "end", "told"}:
        _lifecycle(draw, run, kind)
        return
    for index in range(length):
        run.step += gap
        norms: Norms | None = None
        max_grad: float | None = None
        dead_layers: list[str] | None = None
        match kind:
            case "calm":
                run.loss = draw(st.sampled_from([1.5, 2.0, 2.5]))
                norms = draw(st.none() | healthy_norms)
            case "rising":
                run.loss += draw(st.sampled_from([0.0, 0.04, 0.0625, 0.125]))
            case "flat":
                run.loss = 1.0 + draw(st.sampled_from([0.0, 0.0, 0.03125]))
            case "spiking":
                max_grad = draw(st.sampled_from([0.5, 0.5, 0.5, 2.5, 2.75, 10.0, 11.0, 40.0])) if index > 4 else 0.5
            case "dead":
                norms = kept
            case "reported dead":
                dead_layers = listed
                norms = draw(st.sampled_from([None, None, None, {}]))
            case _:
                run.loss = draw(st.sampled_from([1.0, NAN, INF, -INF, 1e308, 5e-324, 0.0, -1.0]))
                max_grad = draw(st.sampled_from([None, NAN, INF, 0.5, 1e308]))
                norms = draw(st.none() | odd_norms)
        run.events.append(
            StepEvent(
                run_id="run",
                attempt=run.attempt,
                step=run.step,
                ts=float(run.step),
                loss=run.loss,
                max_grad=max_grad,
                grad_norms=norms,
                dead_layers=dead_layers,
                epoch=draw(st.none() | st.just(0.5)),
            )
        )
    if run.loss != run.loss or abs(run.loss) > 100:
        run.loss = 2.0


def _lifecycle(draw: st.DrawFn, run: Run, kind: str) -> None:
    if kind == "restart":
        run.attempt += draw(st.integers(1, 2))
        run.step = draw(st.sampled_from([-1, run.step]))
    if kind == "end":
        ended = RunCompleted(run_id="run", attempt=run.attempt, ts=0.0, steps=run.step + 1)
        failed = RunFailed(run_id="run", attempt=run.attempt, ts=0.0, error="out of memory")
        run.events.append(ended if draw(st.booleans()) else failed)
    elif draw(st.booleans()):
        types: list[SignalType] = ["loss_plateau", "loss_diverging", "dead_layers", "non_finite"]
        kinds: list[LayerKind] = ["attention", "other"]
        run.events.append(
            RunStarted(
                run_id="run",
                attempt=run.attempt,
                ts=0.0,
                project=draw(st.sampled_from(["default", "assistant"])),
                early_stop=tuple(draw(st.lists(st.sampled_from(types), max_size=2))),
                layer_kinds=draw(st.none() | st.dictionaries(st.sampled_from(LAYERS), st.sampled_from(kinds))),
            )
        )


@st.composite
def streams(draw: st.DrawFn, max_stretches: int = 8) -> Sequence[TrainerEvent]:
    """One run: stretches of different characters, restarts, an end, gaps; in order, without duplicates."""
    run = Run(attempt=draw(st.integers(0, 1)))
    for _ in range(draw(st.integers(1, max_stretches))):
        draw(stretches(run))
    return run.events


@st.composite
def disturbed(draw: st.DrawFn) -> tuple[Sequence[TrainerEvent], Sequence[TrainerEvent]]:
    """A stream, and the same with duplicates and late events put in anywhere after where they belong."""
    events = draw(streams())
    noisy: list[TrainerEvent] = []
    for index, event in enumerate(events):
        noisy.append(event)
        steps = [each for each in events[: index + 1] if isinstance(each, StepEvent)]
        if steps and draw(st.integers(0, 4)) == 0:
            noisy += draw(st.lists(st.sampled_from(steps), min_size=1, max_size=3))
    return events, noisy
