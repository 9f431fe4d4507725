"""Small top-k SAEs of the base, in SAELens' format: there are none to be had offline that were trained on SmolLM2.

Fitted in about a minute each to what the probes say, so they explain these texts better than others; a real one of the
same size takes a hundred million tokens.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import torch
from safetensors.torch import save_file
from torch.nn import functional

from tests.acceptance.place import LAYERS
from workers.models.checkpoint import inspect
from workers.models.language_model import ResidualBatch
from workers.models.loading import load
from workers.sae.formats.saelens import CONFIG, WEIGHTS

FEATURES = 4096
K = 32
STEPS = 150
BATCH = 256
RATE = 2e-3
SEED = 7


def write_saes(base: Path, texts: Sequence[str], folder: Path) -> None:
    """``layer-<number>`` in `folder` for each of `LAYERS`."""
    for layer, residuals in _residuals(base, texts).items():
        torch.manual_seed(SEED)
        weights, unexplained = _fit(residuals)
        _write(folder / f"layer-{layer}", layer, weights)
        print(f"  layer {layer}: {len(residuals)} tokens, share unexplained {unexplained:.3f}", flush=True)


def _residuals(base: Path, texts: Sequence[str]) -> dict[int, torch.Tensor]:
    """Layer → (tokens, width), each text's first token left out."""
    checkpoint = inspect(base)
    model = load(
        checkpoint,
        checkpoint,
        device=torch.device("cpu"),
        dtype="float32",
        tokenizer_folder=base,
        tokens_per_batch=4096,
    )
    kept: dict[int, list[torch.Tensor]] = {layer: [] for layer in LAYERS}

    def keep(batch: ResidualBatch) -> None:
        for layer, residual in batch.residuals.items():
            kept[layer].append(residual[batch.mask])

    model.for_each_residual(texts, LAYERS, keep, lambda _done: None)
    return {layer: torch.cat(parts) for layer, parts in kept.items()}


def _fit(residuals: torch.Tensor) -> tuple[dict[str, torch.Tensor], float]:
    """SAELens' tensors, and what the last batches leave unexplained."""
    mean = residuals.mean(0)
    centred = residuals - mean
    size = float(centred.norm(dim=-1).mean())
    tokens = centred / size
    # Random ones: tokens are so much alike that 32 of them would add up to thirty times of what is wanted.
    decoder = functional.normalize(torch.randn(FEATURES, tokens.shape[1]), dim=-1).requires_grad_()
    encoder = decoder.detach().T.clone().requires_grad_()
    bias = torch.zeros(FEATURES, requires_grad=True)
    optimizer = torch.optim.Adam([encoder, decoder, bias], lr=RATE)
    variance = float(tokens.square().sum(-1).mean())
    unexplained = 0.0
    for step in range(STEPS):
        batch = tokens[torch.randint(len(tokens), (BATCH,))]
        values, indices = (batch @ encoder + bias).topk(K, dim=-1)
        features = torch.zeros(BATCH, FEATURES).scatter(-1, indices, values.relu())
        loss = (batch - features @ decoder).square().sum(-1).mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        with torch.no_grad():
            decoder.div_(decoder.norm(dim=-1, keepdim=True))
        share = float(loss.detach()) / variance
        unexplained = share if step == 0 else 0.9 * unexplained + 0.1 * share
    return {
        "W_enc": encoder.detach().contiguous(),
        # The scale is folded in: only the bias feels it.
        "b_enc": bias.detach() * size,
        "W_dec": decoder.detach().contiguous(),
        "b_dec": mean,
    }, unexplained


def _write(folder: Path, layer: int, weights: dict[str, torch.Tensor]) -> None:
    folder.mkdir(parents=True)
    config = {
        "architecture": "topk",
        "d_in": weights["W_enc"].shape[0],
        "d_sae": FEATURES,
        "k": K,
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "metadata": {"hook_name": f"blocks.{layer}.hook_resid_post", "sae_lens_version": "6.54.12"},
    }
    (folder / CONFIG).write_bytes(msgspec.json.format(msgspec.json.encode(config)))
    save_file(weights, folder / WEIGHTS)
