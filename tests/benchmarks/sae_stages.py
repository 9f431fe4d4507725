"""Where the streaming way's time goes, and what the arithmetic alone would take; in a process of its own.

``python -m tests.benchmarks.sae_stages <folder>``. Each stage waits for the device before and after, so on a GPU the
whole takes longer than it does unobserved.
"""

import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from functools import wraps
from pathlib import Path
from statistics import median
from typing import ParamSpec, TypeVar
from unittest import mock

import msgspec
import torch

from producers.settings import load_settings
from tests.benchmarks.sae_setup import LAYERS, Place, SaeBenchSettings, Stages
from tests.benchmarks.sae_texts import WARM_UP_TEXTS, ignore, load_model, load_saes, texts_of
from workers.models import transformers_model
from workers.models.decoder import decoder_layers
from workers.models.loading import pick_device
from workers.models.transformers_model import TransformersModel
from workers.sae.encoder import Sae
from workers.sae.measure import FVU_TOKENS, measure_features
from workers.sae.statistics import FeatureSums, UnexplainedVariance

ROUNDS = 5

P = ParamSpec("P")
R = TypeVar("R")


class Stopwatch:
    """Seconds by stage."""

    def __init__(self, device: torch.device) -> None:
        self.seconds: Counter[str] = Counter()
        self._device = device
        # Of the one core that works, or what others do on this machine would count.
        self._clock = time.perf_counter if device.type == "cuda" else time.process_time

    def wait(self) -> None:
        """Until the device has done what it was told."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def timed(self, stage: str, work: Callable[P, R]) -> Callable[P, R]:
        """`work`, whose seconds count towards `stage`."""

        @wraps(work)
        def observed(*args: P.args, **kwargs: P.kwargs) -> R:
            self.wait()
            began = self._clock()
            try:
                return work(*args, **kwargs)
            finally:
                self.wait()
                self.seconds[stage] += self._clock() - began  # type: ignore[assignment]

        return observed


def main() -> None:
    """Measure one model under observation, then the device."""
    place, settings = Place(Path(sys.argv[1])), load_settings(SaeBenchSettings)
    torch.set_num_threads(1)
    device = pick_device(settings.device)
    model, saes = load_model(place, place.models[0], settings), load_saes(place, device)
    texts, watch = texts_of(settings.bench_texts), Stopwatch(device)
    measure_features(model, saes, texts[:WARM_UP_TEXTS], ignore)
    with ExitStack() as stack:
        for owner, name, stage in (
            (transformers_model, "residuals", "forwards"),
            (Sae, "encode", "encode"),
            (FeatureSums, "add", "statistics"),
            (Sae, "reconstruct", "fit"),
            (UnexplainedVariance, "add", "fit"),
        ):
            stack.enter_context(mock.patch.object(owner, name, watch.timed(stage, getattr(owner, name))))
        tokens = watch.timed("total", measure_features)(model, saes, texts, ignore)[0].tokens
    rates = _flops_per_second(device), _bytes_per_second(device)
    features = sum(sae.n_features for sae in saes)
    place.outcome.write_bytes(
        msgspec.json.encode(
            Stages(
                tokens=tokens,
                total=watch.seconds["total"],
                forwards=watch.seconds["forwards"],
                encode=watch.seconds["encode"],
                statistics=watch.seconds["statistics"],
                fit=watch.seconds["fit"],
                # The first token of a text is read as well, and not measured.
                floor_forwards=2 * _parameters(model) * (tokens + len(texts)) / rates[0],
                floor_encode=2 * saes[0].width * features * tokens / rates[0],
                floor_statistics=4 * features * tokens / rates[1],
                floor_fit=2 * saes[0].width * features * min(tokens, FVU_TOKENS) / rates[0],
                flops_per_second=rates[0],
                bytes_per_second=rates[1],
            )
        )
    )


def _parameters(model: TransformersModel) -> int:
    """Of the layers that are run."""
    layers = decoder_layers(model._model)[: LAYERS[-1] + 1]
    return sum(parameter.numel() for parameter in layers.parameters())


def _flops_per_second(device: torch.device) -> float:
    side = 8192 if device.type == "cuda" else 1024
    a, b = torch.randn(side, side, device=device), torch.randn(side, side, device=device)
    return 2 * side**3 / _seconds(lambda: a @ b, device)


def _bytes_per_second(device: torch.device) -> float:
    large = torch.ones(2**28 if device.type == "cuda" else 2**25, device=device)
    return large.nbytes / _seconds(large.sum, device)


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    watch, rounds = Stopwatch(device), []
    for _ in range(ROUNDS + 1):
        watch.seconds.clear()
        watch.timed("work", work)()
        rounds.append(watch.seconds["work"])
    return median(rounds[1:])


if __name__ == "__main__":
    main()
