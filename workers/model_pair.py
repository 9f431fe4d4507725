"""The two models of a diff: each loaded by itself, so that the device need not hold both, and asked the same."""

import gc
from collections.abc import Callable
from typing import TypeVar

import torch

from workers.base_cache import BaseKey
from workers.behaviour.rows import stretch
from workers.comparison import Comparison, compare
from workers.identity import Method
from workers.inputs import Inputs
from workers.measurement import Measurement, measure
from workers.models.checkpoint import Checkpoint
from workers.models.language_model import Done
from workers.models.loading import load, pick_device
from workers.models.transformers_model import TransformersModel
from workers.progress import Stage
from workers.sae.compare import Thresholds, changed_features
from workers.sae.folders import load_saes
from workers.settings import DiffSettings

Begin = Callable[[Stage], Done]
T = TypeVar("T")


class ModelPair:
    """What `inputs` say, ready to be measured."""

    def __init__(self, inputs: Inputs, settings: DiffSettings) -> None:
        """Loads the SAEs; raises `DiffError` where one cannot be, or fits the models not."""
        self._inputs = inputs
        self._settings = settings
        self._device = pick_device(settings.device)
        self._folders = load_saes(
            inputs.sae_folders,
            n_layers=inputs.base.layers,
            width=inputs.base.hidden_size,
            device=self._device,
            dtype=getattr(torch, settings.dtype),
        )
        self._saes = [each.sae for each in self._folders]
        self.method = Method(
            probes_sha=inputs.probes.sha,
            tokenizer_sha=inputs.tokenizer_sha,
            sae_shas=tuple(sae.sha for sae in self._saes),
            dtype=settings.dtype,
            device_type=self._device.type,
            tokens_per_batch=settings.tokens_per_batch,
        )

    @property
    def base_key(self) -> BaseKey:
        """What the base's half is kept under."""
        method = self.method
        return BaseKey(
            base_sha=self._inputs.base.sha,
            tokenizer_sha=method.tokenizer_sha,
            probes_sha=method.probes_sha,
            sae_shas=method.sae_shas,
            dtype=method.dtype,
            device=torch.cuda.get_device_name(self._device) if self._device.type == "cuda" else self._device.type,
            tokens_per_batch=method.tokens_per_batch,
            code_version=method.code_version,
        )

    def measure_base(self, begin: Begin) -> Measurement:
        """Its half, which owes nothing to the fine-tune. Raises `DiffError`."""
        probes = self._inputs.probes.probes
        return self._with(self._inputs.base, begin, lambda model: measure(model, "base", probes, self._saes, begin))

    def compare(self, base: Measurement, begin: Begin) -> Comparison:
        """Measure the fine-tuned model, and hold it against `base`. Raises `DiffError`."""
        settings = self._settings
        thresholds = Thresholds(
            min_tokens=settings.feature_min_tokens,
            min_relative=settings.feature_min_relative,
            min_absolute=settings.feature_min_absolute,
        )

        def use(model: TransformersModel) -> Comparison:
            fine_tuned = measure(model, "fine_tuned", self._inputs.probes.probes, self._saes, begin)
            layers = list(zip(self._folders, base.layers, fine_tuned.layers, strict=True))
            labelling = begin("labels")
            labels = {}
            for number, (folder, before, after) in enumerate(layers):
                changed = changed_features(before, after, thresholds)
                done = stretch(labelling, number / len(layers), (number + 1) / len(layers))
                # Through the fine-tuned model: the base is not loaded where it was measured before.
                labels[after.layer] = folder.labels(changed, model, done)
            return compare(
                base,
                fine_tuned,
                thresholds=thresholds,
                low_confidence_below=settings.low_confidence,
                labels=labels,
            )

        return self._with(self._inputs.fine_tuned, begin, use)

    def _with(self, checkpoint: Checkpoint, begin: Begin, use: Callable[[TransformersModel], T]) -> T:
        loading = begin("loading")
        model = load(
            checkpoint,
            self._inputs.base,
            device=self._device,
            dtype=self._settings.dtype,
            tokenizer_folder=self._inputs.tokenizer,
            tokens_per_batch=self._settings.tokens_per_batch,
        )
        try:
            loading(1.0)
            result = use(model)
        finally:
            del model
            # A model is a web of references to itself.
            gc.collect()
            if self._device.type == "cuda":
                torch.cuda.empty_cache()
        # Only now: weights may be read from their files for as long as they are used.
        self._inputs.check_untouched()
        return result
