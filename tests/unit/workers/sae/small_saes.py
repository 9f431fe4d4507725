"""Small random SAEs in every format, and a model that yields random residuals."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from workers.models.language_model import Done, Generation, Question, ResidualBatch
from workers.sae.encoder import Sae
from workers.sae.formats import load_sae

WIDTH = 12
FEATURES = 40

Tensors = dict[str, torch.Tensor]


def tensors(seed: int = 0) -> Tensors:
    """A standard SAE's, under SAELens' names."""
    made = torch.Generator().manual_seed(seed)
    return {
        "W_enc": torch.randn(WIDTH, FEATURES, generator=made),
        "b_enc": torch.randn(FEATURES, generator=made) * 0.1,
        "W_dec": torch.randn(FEATURES, WIDTH, generator=made),
        "b_dec": torch.randn(WIDTH, generator=made),
    }


def config(**fields: object) -> dict[str, object]:
    """SAELens' of version 6."""
    whole: dict[str, object] = {
        "architecture": "standard",
        "d_in": WIDTH,
        "d_sae": FEATURES,
        "normalize_activations": "none",
        "metadata": {"hook_name": "blocks.3.hook_resid_post", "sae_lens_version": "6.54.12"},
    }
    return whole | fields


def write_saelens(folder: Path, fields: Mapping[str, object] | None = None, weights: Tensors | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cfg.json").write_text(json.dumps(config(**(fields or {}))))
    save_file(tensors() if weights is None else weights, folder / "sae_weights.safetensors")
    return folder


def write_sparsify(root: Path, fields: Mapping[str, object] | None = None, name: str = "layers.3") -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    whole = {"activation": "topk", "expansion_factor": 32, "num_latents": FEATURES, "k": 5, "d_in": WIDTH}
    (folder / "cfg.json").write_text(json.dumps(whole | dict(fields or {})))
    made = tensors()
    weights = {
        "encoder.weight": made["W_enc"].T.contiguous(),
        "encoder.bias": made["b_enc"],
        "W_dec": made["W_dec"],
        "b_dec": made["b_dec"],
    }
    save_file(weights, folder / "sae.safetensors")
    return folder


def write_dictionary(folder: Path, kind: str, weights: Any, fields: Mapping[str, object] | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    trainer: dict[str, object] = {
        "dict_class": kind,
        "activation_dim": WIDTH,
        "dict_size": FEATURES,
        "layer": 3,
        "submodule_name": "resid_post_layer_3",
    }
    (folder / "config.json").write_text(json.dumps({"trainer": trainer | dict(fields or {}), "buffer": {}}))
    torch.save(weights, folder / "ae.pt")
    return folder


def load(folder: Path) -> Sae:
    return load_sae(folder, torch.device("cpu"), torch.float32)


class RandomModel:
    """Residuals that depend on nothing but the text's place and the layer; the other methods are not for SAEs."""

    def __init__(self, *, width: int = WIDTH, shift: float = 0.0, per_batch: int = 3) -> None:
        self.width = width
        self.shift = shift
        self.per_batch = per_batch

    def batches(self, texts: Sequence[str], layers: Sequence[int]) -> list[ResidualBatch]:
        made: list[ResidualBatch] = []
        for start in range(0, len(texts), self.per_batch):
            some = [text.split() for text in texts[start : start + self.per_batch]]
            longest = max(map(len, some))
            mask = torch.tensor([[0 < at < len(words) for at in range(longest)] for words in some])
            residuals = {
                layer: torch.randn(
                    *mask.shape, self.width, generator=torch.Generator().manual_seed(1000 * layer + start)
                )
                + self.shift
                for layer in layers
            }
            for residual in residuals.values():
                residual[~mask] = float("nan")
            made.append(ResidualBatch(residuals=residuals, mask=mask))
        return made

    def for_each_residual(
        self, texts: Sequence[str], layers: Sequence[int], consume: Callable[[ResidualBatch], None], done: Done
    ) -> None:
        for batch in self.batches(texts, layers):
            consume(batch)
        done(1.0)

    def next_token_log_probs(self, prompts: Sequence[str]) -> torch.Tensor:
        raise NotImplementedError("features are measured on residuals alone")

    def answer_log_probs(self, questions: Sequence[Question], done: Done) -> list[tuple[float, ...]]:
        raise NotImplementedError("features are measured on residuals alone")

    def generate(self, prompts: Sequence[str], max_new_tokens: int, done: Done) -> list[Generation]:
        raise NotImplementedError("features are measured on residuals alone")
