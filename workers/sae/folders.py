"""The SAEs of a diff: loaded from their folders, fitted to the model, and what their features are called."""

from collections.abc import Sequence
from pathlib import Path

import torch
from msgspec import Struct

from workers.models.language_model import Done
from workers.models.transformers_model import TransformersModel
from workers.sae.encoder import Sae, check_layer, check_width
from workers.sae.formats import load_sae
from workers.sae.labels import logit_lens_labels, read_labels
from workers.sae.measure import check_one_a_layer


class SaeFolder(Struct, frozen=True):
    """An SAE and where it came from."""

    sae: Sae
    folder: Path

    def labels(self, features: Sequence[int], model: TransformersModel, done: Done) -> dict[int, str]:
        """Of a sidecar file; where there is none, of `features` by logit lens through `model`. Raises `DiffError`."""
        written = read_labels(self.folder, self.sae.n_features)
        if written or not features:
            return written
        rows = self.sae.read_decoder()[torch.tensor(features, device=self.sae.encoder.device)]
        labels = logit_lens_labels(rows, model.unembedding, model.token_text, done)
        return dict(zip(features, labels, strict=True))


def load_saes(
    folders: Sequence[Path], *, n_layers: int, width: int, device: torch.device, dtype: torch.dtype
) -> list[SaeFolder]:
    """By layer, for a model of `n_layers` and a residual stream `width` wide; raises `DiffError` where one is not."""
    loaded = [SaeFolder(load_sae(folder, device, dtype), folder) for folder in folders]
    check_one_a_layer([each.sae for each in loaded])
    for each in loaded:
        check_layer(each.sae, n_layers)
        check_width(each.sae, width)
    return sorted(loaded, key=lambda each: each.sae.layer)
