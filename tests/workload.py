"""A fleet's step events, with everything that goes wrong in one: what integration tests and benchmarks publish."""

import random
from collections.abc import Iterator
from enum import Enum

from msgspec import Struct

from producers.codec import encode
from producers.events import RunStarted, StepEvent


class Fate(Enum):
    """What happens to a run."""

    HEALTHY = "healthy"
    DIVERGES = "diverges"
    SPIKES = "spikes"
    LOSES_ATTENTION = "loses attention"
    LOSES_MLP = "loses an MLP"
    PLATEAUS = "plateaus"
    TURNS_NAN = "turns NaN"


class Published(Struct, frozen=True):
    """One record for the steps topic."""

    key: bytes | None
    value: bytes
    refusal: str | None = None
    """the reason it belongs into the dead letters, where it does"""


def run_events(run_id: str, fate: Fate, steps: int, layers: int, rng: random.Random) -> Iterator[StepEvent]:
    """One run of `steps` steps and `layers` layers, with its fate from a third of the way on."""
    names = [f"layers.{i // 2}.{'self_attn' if i % 2 == 0 else 'mlp'}" for i in range(layers)]
    onset = steps // 3
    for step in range(steps):
        after = step - onset
        loss = 3.0 / (1 + step / 50) + rng.uniform(0.0, 0.5)
        norms: dict[str, float | None] = {name: rng.uniform(0.1, 1.0) for name in names}
        max_grad = max(norm for norm in norms.values() if norm is not None)
        if after >= 0:
            match fate:
                case Fate.DIVERGES:
                    loss = 3.0 + 0.1 * after
                case Fate.SPIKES:
                    max_grad *= {0: 12.0, 1: 60.0}.get(after % 40, 1.0)
                case Fate.LOSES_ATTENTION:
                    norms[names[0]] = 0.0
                case Fate.LOSES_MLP:
                    norms[names[1]] = 1e-9
                case Fate.PLATEAUS:
                    loss = 0.5
                case Fate.TURNS_NAN:
                    loss = float("nan")
                case Fate.HEALTHY:
                    pass
        yield StepEvent(
            run_id=run_id, step=step, ts=1e9 + step, loss=loss, max_grad=max_grad, grad_norms=norms, epoch=step / 100
        )


def fleet(runs: int, steps: int, layers: int, *, chaos: float = 0.0, seed: int = 0) -> Iterator[Published]:
    """`runs` runs side by side, every third announced; a share `chaos` of the records is preceded by one too many:
    malformed, a duplicate, or an event from long ago.
    """
    rng = random.Random(seed)
    fates = list(Fate)
    streams = [
        (f"fleet/run-{index:04}", run_events(f"fleet/run-{index:04}", fates[index % len(fates)], steps, layers, rng))
        for index in range(runs)
    ]
    for index in range(0, runs, 3):
        run_id = streams[index][0]
        started = RunStarted(run_id=run_id, ts=1e9, project=f"project-{index % 4}", early_stop=("loss_plateau",))
        yield Published(run_id.encode(), encode(started))
    sent: dict[str, list[bytes]] = {run_id: [] for run_id, _ in streams}
    for _ in range(steps):
        for run_id, events in streams:
            value = encode(next(events))
            if rng.random() < chaos:
                yield _nuisance(run_id, sent[run_id], value, rng)
            sent[run_id].append(value)
            yield Published(run_id.encode(), value)


def _nuisance(run_id: str, sent: list[bytes], value: bytes, rng: random.Random) -> Published:
    key = run_id.encode()
    malformed = [
        Published(key, value[: len(value) // 2], "not_json"),
        Published(key, b"\xff\xfe" + value, "not_json"),
        Published(key, value.replace(b'"loss":', b'"lost":'), "invalid"),
        Published(key, value.replace(b'"step":', b'"step":-'), "invalid"),
        Published(key, value.replace(b'"epoch":', b'"epoch":"0","e":'), "invalid"),
        Published(key, value.replace(b'"maxGrad":', b'"maxGrad":true,"m":'), "invalid"),
        Published(key, value.replace(b'"run_id":"', b'"run_id":"no spaces '), "invalid"),
        Published(b"another-key", value, "wrong_key"),
        Published(None, value, "wrong_key"),
    ]
    harmless = [Published(key, value)]
    if sent:
        harmless += [Published(key, sent[-1]), Published(key, rng.choice(sent)), Published(key, sent[0])]
    # As many of one kind as of the other.
    return rng.choice(rng.choice([malformed, harmless]))
