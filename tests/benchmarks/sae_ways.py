"""One way to measure the features of two models, in a process of its own.

``python -m tests.benchmarks.sae_ways <way> <folder>``. Each has the same tokens in the same batches, loads one
model after the other, and stops the forward after the last layer that has an SAE.
"""

import gc
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from producers.settings import load_settings
from tests.benchmarks.sae_setup import LAYERS, Outcome, Place, SaeBenchSettings
from tests.benchmarks.sae_texts import WARM_UP_TEXTS, ignore, load_model, load_saes, texts_of
from workers.models.batching import batches, pad
from workers.models.language_model import Done, LanguageModel, ResidualBatch
from workers.models.loading import pick_device
from workers.models.text_ids import TextIds
from workers.sae.measure import FVU_TOKENS, LayerSums, measure_features
from workers.sae.statistics import FeatureSums, UnexplainedVariance


class Meter:
    """Seconds and peak memory of what runs under it, in several stretches."""

    def __init__(self, device: torch.device) -> None:
        self.seconds = 0.0
        self.cpu_seconds = 0.0
        self.measuring_mib = 0.0
        self._before_mib = 0.0
        self._device = device

    @property
    def peak_mib(self) -> float:
        """Highest resident set of the whole process so far, importing and loading included."""
        return max(self._before_mib, _high_water_mib())

    @contextmanager
    def running(self) -> Iterator[None]:
        # The highest resident set so far was that of loading; Linux forgets it when it is told to.
        self._before_mib = self.peak_mib
        Path("/proc/self/clear_refs").write_text("5")
        began, cpu_began = time.perf_counter(), time.process_time()
        yield
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        self.seconds += time.perf_counter() - began
        self.cpu_seconds += time.process_time() - cpu_began
        self.measuring_mib = max(self.measuring_mib, _high_water_mib())


def _high_water_mib() -> float:
    """Since Linux was last told to forget it."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Job:
    """What every way is given."""

    def __init__(self, place: Place) -> None:
        self.settings = load_settings(SaeBenchSettings)
        self.place = place
        self.texts = texts_of(self.settings.bench_texts)
        self.device = pick_device(self.settings.device)
        self.meter = Meter(self.device)
        self.kept_bytes = 0


def streaming(job: Job) -> list[list[LayerSums]]:
    """Ours."""
    saes, results = load_saes(job.place, job.device), []
    for folder in job.place.models:
        model = load_model(job.place, folder, job.settings)
        measure_features(model, saes, job.texts[:WARM_UP_TEXTS], ignore)
        with job.meter.running():
            results.append(measure_features(model, saes, job.texts, ignore))
        del model
        gc.collect()
    return results


class Kept:
    """All activations of a model, given again as if it ran."""

    def __init__(self, model: LanguageModel, texts: Sequence[str]) -> None:
        self._batches: list[ResidualBatch] = []
        model.for_each_residual(texts, LAYERS, self._batches.append, ignore)

    @property
    def size_bytes(self) -> int:
        """Of all of them."""
        return sum(each.nbytes for batch in self._batches for each in batch.residuals.values())

    def for_each_residual(
        self, _texts: Sequence[str], _layers: Sequence[int], consume: Callable[[ResidualBatch], None], done: Done
    ) -> None:
        """Those of the texts that it was made with."""
        for batch in self._batches:
            consume(batch)
        done(1.0)


def cached(job: Job) -> list[list[LayerSums]]:
    """Every activation of both models is kept, then encoded; all else is as in `streaming`."""
    saes, both = load_saes(job.place, job.device), []
    for folder in job.place.models:
        model = load_model(job.place, folder, job.settings)
        measure_features(model, saes, job.texts[:WARM_UP_TEXTS], ignore)
        with job.meter.running():
            both.append(Kept(model, job.texts))
        del model
        gc.collect()
    job.kept_bytes = sum(kept.size_bytes for kept in both)
    with job.meter.running():
        return [measure_features(cast("LanguageModel", kept), saes, job.texts, ignore) for kept in both]


def hooked_transformer(folder: Path, device: torch.device) -> Any:
    """Of a folder: `HookedTransformer.from_pretrained` takes names on its list only, the functions behind it do not."""
    loading = import_module("transformer_lens.loading_from_pretrained")
    cfg = loading.get_pretrained_model_config(str(folder), fold_ln=False, device=str(device), dtype=torch.float32)
    read = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    weights = loading.get_pretrained_state_dict(str(folder), cfg, read, dtype=torch.float32)
    model = import_module("transformer_lens").HookedTransformer(cfg)
    model.load_and_process_state_dict(
        weights, fold_ln=False, center_writing_weights=False, center_unembed=False, fold_value_biases=False
    )
    model.to(device)
    return model


def transformer_bridge(folder: Path, device: torch.device) -> Any:
    """TransformerLens 3's own recommendation: hooks round the model of transformers."""
    bridge = import_module("transformer_lens.model_bridge").TransformerBridge
    return bridge.boot_transformers(str(folder), device=str(device), dtype=torch.float32)


def by_sae_lens(job: Job, load: Callable[[Path, torch.device], Any], point: str) -> list[list[LayerSums]]:
    """A loop as one writes it with both libraries, batch by batch: `run_with_cache` at `point`, `encode`, sums."""
    sae_lens, results = import_module("sae_lens"), []
    saes = [sae_lens.SAE.load_from_disk(folder, device=str(job.device)) for folder in job.place.saes]
    tokenizer = AutoTokenizer.from_pretrained(job.place.models[0])
    for folder in job.place.models:
        model = load(folder, job.device)
        gc.collect()
        ids = TextIds(tokenizer, model.cfg.n_ctx, model.cfg.d_vocab)
        _run_with_cache(job, model, saes, point, ids, job.texts[:WARM_UP_TEXTS])
        with job.meter.running():
            results.append(_run_with_cache(job, model, saes, point, ids, job.texts))
        del model
        gc.collect()
    return results


@torch.inference_mode()
def _run_with_cache(
    job: Job, model: Any, saes: Sequence[Any], point: str, ids: TextIds, texts: Sequence[str]
) -> list[LayerSums]:
    names = [f"blocks.{layer}.{point}" for layer in LAYERS]
    sums = [FeatureSums(sae.cfg.d_sae, job.device) for sae in saes]
    fits = [UnexplainedVariance(sae.cfg.d_in, job.device) for sae in saes]
    rows = [ids.opening(text) for text in texts]
    for batch in batches(list(map(len, rows)), job.settings.bench_tokens_per_batch):
        padded = pad([rows[index] for index in batch], job.device)
        real = padded.mask.bool()
        real[:, 0] = False
        # Padding is on the right: no real token attends to it, and no mask is needed.
        _, cache = model.run_with_cache(
            padded.ids, names_filter=names, stop_at_layer=LAYERS[-1] + 1, return_type=None, return_cache_object=False
        )
        for name, sae, total, fit in zip(names, saes, sums, fits, strict=True):
            x = cache[name][real]
            features = sae.encode(x)
            total.add(features)
            if (room := FVU_TOKENS - fit.tokens) > 0:
                fit.add(x[:room], sae.decode(features[:room]))
    return [_layer_sums(*each) for each in zip(LAYERS, names, sums, fits, strict=True)]


def _layer_sums(layer: int, hook: str, total: FeatureSums, fit: UnexplainedVariance) -> LayerSums:
    return LayerSums(
        layer=layer,
        hook=hook,
        sae_sha="",
        tokens=total.tokens,
        sums=total.sums.cpu().numpy(),
        counts=total.counts.cpu().numpy(),
        maxima=total.maxima.cpu().numpy(),
        fvu=fit.value(),
    )


WAYS: dict[str, Callable[[Job], list[list[LayerSums]]]] = {
    "streaming": streaming,
    "cached": cached,
    "hooked": lambda job: by_sae_lens(job, hooked_transformer, "hook_resid_post"),
    "bridge": lambda job: by_sae_lens(job, transformer_bridge, "hook_out"),
}


def main() -> None:
    """Measure, and leave the outcome and the sums."""
    way, folder = sys.argv[1:]
    # One core: where others use the machine, threads of one product wait for each other most of the time.
    torch.set_num_threads(1)
    job = Job(Place(Path(folder)))
    results = WAYS[way](job)
    arrays: dict[str, Any] = {
        field: np.array([[getattr(layer, field) for layer in layers] for layers in results])
        for field in ("sums", "counts", "fvu")
    }
    np.savez(job.place.sums, **arrays)
    outcome = Outcome(
        tokens=results[0][0].tokens,
        seconds=job.meter.seconds,
        cpu_seconds=job.meter.cpu_seconds,
        peak_mib=job.meter.peak_mib,
        measuring_mib=job.meter.measuring_mib,
        kept_mib=job.kept_bytes / 2**20,
        device_mib=torch.cuda.max_memory_allocated() / 2**20 if job.device.type == "cuda" else 0.0,
    )
    job.place.outcome.write_bytes(msgspec.json.encode(outcome))


if __name__ == "__main__":
    main()
