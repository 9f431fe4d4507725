"""The engine over a stream of many runs' events: what the stream application must have emitted."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from producers.events import Signal, StepEvent, TrainerEvent
from stream_app.engine.evaluate import evaluate
from stream_app.engine.own import OwnFailure
from stream_app.engine.state import RunState
from stream_app.engine.thresholds import ThresholdPolicy


class Replay:
    """Runs' states, fed one event at a time. Memory grows with the runs, never with the events."""

    def __init__(
        self, policy: ThresholdPolicy | None = None, on_failure: Callable[[OwnFailure], object] | None = None
    ) -> None:
        """`on_failure` is told of each step that an installed detector failed on."""
        self._policy = policy or ThresholdPolicy()
        self._on_failure = on_failure
        self.states: dict[str, RunState] = {}

    def apply(self, event: TrainerEvent) -> Signal | None:
        """The signal that `event` fires, if any. Raises `TooManyLayers`, and then nothing has changed."""
        outcome = evaluate(self.states.get(event.run_id, RunState()), event, self._policy)
        self.states[event.run_id] = outcome.state
        if self._on_failure is not None:
            for failure in outcome.failures:
                self._on_failure(failure)
        return outcome.signal


def signals_of(events: Iterable[TrainerEvent], policy: ThresholdPolicy | None = None) -> Iterator[Signal]:
    """Every signal of `events`, in order."""
    replay = Replay(policy)
    return (signal for event in events if (signal := replay.apply(event)) is not None)


def steps(
    *,
    loss: Sequence[float] | None = None,
    max_grad: Sequence[float] | None = None,
    grad_norms: Sequence[Mapping[str, float | None]] | None = None,
    run_id: str = "run",
) -> list[StepEvent]:
    """Consecutive steps of one run from what was measured on each; a loss not given moves, so that nothing fires on it.

    Raises ValueError where the lengths differ.
    """
    count = max(len(values) for values in (loss, max_grad, grad_norms) if values is not None)
    losses = loss if loss is not None else [2.0 + i % 2 for i in range(count)]
    absent = [None] * count
    return [
        StepEvent(
            run_id=run_id,
            step=step,
            ts=float(step),
            loss=each_loss,
            max_grad=each_max_grad,
            grad_norms=None if each_norms is None else dict(each_norms),
        )
        for step, (each_loss, each_max_grad, each_norms) in enumerate(
            zip(losses, max_grad or absent, grad_norms or absent, strict=True)
        )
    ]
