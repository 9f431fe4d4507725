"""What one event costs: decoding, judging, and encoding the state, by number of layers."""

import time
from collections.abc import Callable
from statistics import median

from producers.codec import decode, encode
from producers.events import StepEvent
from stream_app.engine.evaluate import evaluate
from stream_app.engine.state import RunState, encode_state
from stream_app.engine.thresholds import ThresholdPolicy

ROUNDS = 9
EVENTS = 2_000
LAYERS = (10, 16, 24, 100, 1_000)

POLICY = ThresholdPolicy()


def main() -> None:
    """Print a table in microseconds an event, and what a layer costs."""
    print("## One event, in microseconds: median (lowest to highest) of 9 rounds")
    print(f"{'layers':>6}  {'run':<8} {'decode':>22} {'judge':>22} {'encode state':>22} {'judge, a layer':>15}")
    for layers in LAYERS:
        for is_dead in (False, True):
            events = run(layers, EVENTS if layers < 1_000 else EVENTS // 10, is_dead=is_dead)
            raws = [encode(event) for event in events]
            state = _judge_all(events)
            decoding = _timed(lambda raws=raws: [decode(raw) for raw in raws], len(events))  # type: ignore[misc]
            judging = _timed(lambda events=events: _judge_all(events), len(events))  # type: ignore[misc]
            encoding = _timed(lambda state=state: [encode_state(state) for _ in range(100)], 100)  # type: ignore[misc]
            print(
                f"{layers:>6}  {'all dead' if is_dead else 'healthy':<8} {_figure(decoding):>22} "
                f"{_figure(judging):>22} {_figure(encoding):>22} {median(judging) / layers:>15.3f}"
            )


def run(layers: int, events: int, *, is_dead: bool) -> list[StepEvent]:
    """Steps of one run whose loss moves; every layer has a gradient, or none has."""
    names = [f"model.layers.{layer // 2}.{'self_attn' if layer % 2 else 'mlp'}" for layer in range(layers)]
    return [
        StepEvent(
            run_id="run",
            step=step,
            ts=float(step),
            loss=2.0 + step % 7,
            max_grad=1.5,
            grad_norms={name: 0.0 if is_dead else 0.1234567 + layer for layer, name in enumerate(names)},
        )
        for step in range(events)
    ]


def _judge_all(events: list[StepEvent]) -> RunState:
    state = RunState()
    for event in events:
        state = evaluate(state, event, POLICY).state
    return state


def _timed(work: Callable[[], object], count: int) -> list[float]:
    """Microseconds an event, of each round."""
    figures = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        figures.append(1e6 * (time.perf_counter() - began) / count)
    return figures


def _figure(figures: list[float]) -> str:
    return f"{median(figures):.1f} ({min(figures):.1f}-{max(figures):.1f})"
