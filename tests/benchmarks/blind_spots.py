"""What the detectors do not see, and what they see that is not there: the engine on curves that are made up.

``python -m tests.benchmarks blind_spots`` prints the tables; `make docs` puts them into docs/signals.md and README.md.
Nothing here is timed, and every curve has a seed: they are the same wherever they are made.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import get_args

from producers.codec import decode
from producers.events import DetectorType
from stream_app.engine.replay import signals_of
from tests.benchmarks import curves
from tests.benchmarks.curves import Curve
from tests.benchmarks.seen import HEALTHY_RUNS, RUNS, Seen, false_alarms, percent, seen
from tests.documents import ROOT, put_between, table
from tests.recordings import RECORDINGS

NOISES = (0.01, 0.05, 0.1, 0.2)
"""of a loss around 2"""
SPREADS = (0.1, 0.3, 0.5, 0.7, 1.0)
"""of a gradient norm's logarithm"""
SHARES = (0.0, 0.01, 0.02, 0.03, 0.04, 0.05)
"""of the loss: its noise"""
ENDS = "<!-- end of figures -->"


def diverging() -> list[str]:
    """A row a way to diverge, a column a noise."""
    ways: Sequence[tuple[str, Callable[..., Curve], float]] = [
        *((f"rises by {rise:g} a step", curves.rising, rise) for rise in (0.04, 0.06, 0.1, 0.2)),
        *((f"runs away, {percent(by - 1)} faster each step", curves.running_away, by) for by in (1.05, 1.1, 1.5)),
        ("jumps by 5 and stays there", curves.jumping, 5.0),
    ]
    rows = [[name, *(str(_diverging(make, by, noise)) for noise in NOISES)] for name, make, by in ways]
    return table(["the loss", *(f"noise {noise:g}" for noise in NOISES)], rows)


def spikes() -> list[str]:
    """A row a spike or a growth, a column a spread."""
    single = [
        *((f"one norm, {times} times the median", times, 1.0) for times in (6, 10, 30)),
        ("one norm of 0.9, 18 times the median", 18, 0.05),
    ]
    rows = [[name, *(_spike(times, spread, norm).share for spread in SPREADS)] for name, times, norm in single]
    for by in (1.1, 1.2, 1.3):
        cells = [str(seen("gradient_spike", curves.growing, by, spread)) for spread in SPREADS]
        rows.append([f"grows by {percent(by - 1)} each step", *cells])
    return table(["the gradient norm", *(f"spread {spread:g}" for spread in SPREADS)], rows)


def dead() -> list[str]:
    """When a gradient that fades is dead, and whether one that comes and goes is."""
    half_lives, shares = (1, 5, 10, 50, 100), (0.3, 0.5, 0.7, 0.9)
    fades = [seen("dead_layers", curves.vanishing, each, runs=1).delay for each in half_lives]
    flickers = [str(seen("dead_layers", curves.flickering, each)) for each in shares]
    return [
        *table(["a gradient of 0.1 halves every … steps", *map(str, half_lives)], [["signal after", *fades]]),
        "",
        *table(["there is none on … of the steps", *map(percent, shares)], [["runs with a signal", *flickers]]),
    ]


def plateaus() -> list[str]:
    """A row a way to fall, a column a noise: what is flat should be seen, what falls should not."""
    falls = (0.0, 0.002, 0.004, 0.006, 0.01)
    rows = [
        [
            f"falls by {100 * fall:g} % a step" if fall else "is flat",
            *(str(seen("loss_plateau", curves.flat, fall, share)) for share in SHARES),
        ]
        for fall in falls
    ]
    return table(["the loss", *(f"noise {percent(share)}" for share in SHARES)], rows)


def healthy() -> list[str]:
    """Signals of runs that have no trouble."""
    kinds = get_args(DetectorType)
    ways = [*((0.05, spread) for spread in SPREADS), (0.03, 0.3), (0.01, 0.3)]
    rows = [
        [percent(noise), f"{spread:g}", *(f"{false_alarms(noise, spread)[kind]:,}" for kind in kinds)]
        for noise, spread in ways
    ]
    return table(["noise of the loss", "spread of the norms", *(f"`{kind}`" for kind in kinds)], rows)


def recorded() -> list[str]:
    """Of the real fine-tunes that ship with the demo."""
    rows: list[list[str]] = []
    for path in RECORDINGS:
        events = [decode(line) for line in path.read_bytes().splitlines()]
        told = [f"`{signal.type}` at {signal.step}" for signal in signals_of(events)]
        rows.append([f"`{path.name}`", str(len(events)), ", ".join(told) or "none"])
    return table(["recording", "steps", "signals"], rows)


def limits() -> list[str]:
    """README's: a row a detector."""
    steps = f"{HEALTHY_RUNS * 1000:,} healthy steps"
    rises = {noise: _diverging(curves.rising, 0.1, noise).share for noise in NOISES}
    slow, jump = _diverging(curves.rising, 0.04, 0.2).share, _diverging(curves.jumping, 5.0, 0.2).share
    spiky = {spread: false_alarms(0.05, spread)["gradient_spike"] for spread in SPREADS}
    fading = seen("dead_layers", curves.vanishing, 50, runs=1).delay
    flat = {noise: seen("loss_plateau", curves.flat, 0.0, noise).share for noise in SHARES}
    falling = seen("loss_plateau", curves.flat, 0.004, 0.01).share
    rows = (
        ("`non_finite`", "what no event says: a weight that is NaN while loss and gradients are not", f"0 in {steps}"),
        (
            "`loss_diverging`",
            (
                f"what falls once in ten steps: a rise of 0.1 a step is seen in {rises[0.05]} of runs whose batches"
                f" move the loss by 0.05, in {rises[0.2]} where they move it by 0.2; one of 0.04 in {slow};"
                f" a jump by 5 that stays in {jump}"
            ),
            f"{false_alarms(0.05, 0.3)['loss_diverging']} in {steps}",
        ),
        (
            "`gradient_spike`",
            (
                f"a norm ten times the median where norms scatter: seen in {_spike(10, 0.3).share} with a spread of"
                f" 0.3, in {_spike(10, 1.0).share} with 1; any norm up to 1.0"
            ),
            f"{spiky[0.3]} in {steps} with a spread of 0.3, {spiky[0.7]} with 0.7, {spiky[1.0]} with 1",
        ),
        (
            "`attention_head_dead`, `dead_layers`",
            (
                f"what fades, until it is below 1e-6: {fading} steps where it halves every 50; one head of an attention"
                " layer, for norms are those of layers"
            ),
            "layers that are frozen on purpose and published all the same",
        ),
        (
            "`loss_plateau`",
            f"a loss that is flat and noisy: seen in {flat[0.03]} with a noise of 3 %, {flat[0.05]} with 5 %",
            f"a loss that still falls by 0.4 % a step: {falling} of the runs with a noise of 1 %",
        ),
    )
    return table(["signal", "does not see", "sees though it is not there"], rows)


def _diverging(make: Callable[..., Curve], by: float, noise: float) -> Seen:
    return seen("loss_diverging", make, by, noise)


def _spike(times: float, spread: float, norm: float = 1.0) -> Seen:
    return seen("gradient_spike", curves.spiking, times, spread, norm)


@cache
def pages() -> Mapping[Path, Mapping[str, Sequence[str]]]:
    """Page → the marker before each of its tables → that table."""
    guide = {
        "loss_diverging": diverging(),
        "gradient_spike": spikes(),
        "dead layers": dead(),
        "loss_plateau": plateaus(),
        "healthy runs": healthy(),
        "recordings": recorded(),
    }
    return {
        ROOT / "docs" / "signals.md": {_begins(name): lines for name, lines in guide.items()},
        ROOT / "README.md": {_begins("limits"): limits()},
    }


def _begins(name: str) -> str:
    return f"<!-- figures: {name}, made by `make docs` -->"


def main() -> None:
    """Print every table."""
    print(f"## Blind spots: share of {RUNS} runs, median steps from the onset to the signal")
    for tables in pages().values():
        for begins, lines in tables.items():
            print("\n".join(("", begins, *lines)))


if __name__ == "__main__":
    # Not named on the command line of the benchmarks: for `make docs`.
    for page, tables in pages().items():
        for begins, lines in tables.items():
            put_between(page, begins, ENDS, lines)
