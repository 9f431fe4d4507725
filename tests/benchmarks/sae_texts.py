"""What every process of the benchmark of the SAE feature diff reads: texts, models, SAEs."""

import random
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path

import torch

from tests.benchmarks.sae_setup import Place, SaeBenchSettings
from workers.measurement import feature_texts
from workers.models.checkpoint import inspect
from workers.models.loading import load, pick_device
from workers.models.transformers_model import TransformersModel
from workers.probes.reading import default_probes
from workers.sae.encoder import Sae
from workers.sae.formats import load_sae

WARM_UP_TEXTS = 8


def texts_of(count: int) -> Sequence[str]:
    """So many of the default probe set's, in an order that mixes its categories."""
    texts = feature_texts(default_probes().probes)
    random.Random(0).shuffle(texts)
    return list(islice(cycle(texts), count))


def load_model(place: Place, folder: Path, settings: SaeBenchSettings) -> TransformersModel:
    """As the diff worker does, in float32: what the other libraries are held to as well."""
    base = inspect(place.models[0])
    return load(
        inspect(folder),
        base,
        device=pick_device(settings.device),
        dtype="float32",
        tokenizer_folder=place.models[0],
        tokens_per_batch=settings.bench_tokens_per_batch,
    )


def load_saes(place: Place, device: torch.device) -> list[Sae]:
    """By layer, in float32."""
    return [load_sae(folder, device, torch.float32) for folder in place.saes]


def ignore(_share: float) -> None:
    """Nobody watches the progress."""
