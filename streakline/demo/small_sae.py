"""Sparse autoencoders of the demo's base, trained on what it makes of its own lessons, in SAELens' format."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from msgspec import Struct
from safetensors.torch import save_file
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

FEATURES = 256
K = 12
"""features that fire on a token"""
STEPS = 150
BATCH = 512
"""tokens"""
RATE = 3e-3
TEXTS_AT_ONCE = 64


class SmallSae(Struct, frozen=True, eq=False):
    """A TopK autoencoder (Gao et al. 2024, arXiv:2406.04093); the decoder's rows have length 1."""

    encoder: torch.Tensor
    """(width, features)"""
    encoder_bias: torch.Tensor
    decoder: torch.Tensor
    """(features, width)"""
    decoder_bias: torch.Tensor

    def reconstruct(self, x: torch.Tensor) -> torch.Tensor:
        """(tokens, width) → the same, of `K` features a token."""
        values, indices = torch.topk((x - self.decoder_bias) @ self.encoder + self.encoder_bias, K)
        features = torch.zeros(len(x), FEATURES).scatter(-1, indices, values.relu())
        return features @ self.decoder + self.decoder_bias


@torch.no_grad()
def residuals(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], layers: Sequence[int]
) -> dict[int, torch.Tensor]:
    """Layer → (tokens, width) of the residual stream after it, without each text's first token."""
    found: dict[int, list[torch.Tensor]] = {layer: [] for layer in layers}

    def keep(layer: int, output: Any, mask: torch.Tensor) -> None:
        hidden = output[0] if isinstance(output, tuple) else output
        found[layer].append(hidden[mask])

    for start in range(0, len(texts), TEXTS_AT_ONCE):
        ids = [torch.tensor(cast("list[int]", tokenizer(text)["input_ids"])) for text in texts[start:][:TEXTS_AT_ONCE]]
        batch = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True)
        places = torch.arange(batch.shape[1])
        mask = (places > 0) & (places < torch.tensor([len(each) for each in ids])[:, None])
        hooks = [
            model.model.layers[layer].register_forward_hook(
                lambda _, __, output, layer=layer, mask=mask: keep(layer, output, mask)
            )
            for layer in layers
        ]
        model.model(input_ids=batch, use_cache=False)
        for hook in hooks:
            hook.remove()
    return {layer: torch.cat(parts) for layer, parts in found.items()}


def train_sae(x: torch.Tensor, seed: int) -> SmallSae:
    """Learn to reconstruct `x`, (tokens, width)."""
    random = torch.Generator().manual_seed(seed)
    decoder = torch.nn.functional.normalize(torch.randn(FEATURES, x.shape[1], generator=random), dim=-1)
    sae = SmallSae(
        encoder=decoder.T.clone().requires_grad_(),
        encoder_bias=torch.zeros(FEATURES, requires_grad=True),
        decoder=decoder.requires_grad_(),
        decoder_bias=x.mean(0).requires_grad_(),
    )
    optimizer = torch.optim.Adam([sae.encoder, sae.encoder_bias, sae.decoder, sae.decoder_bias], lr=RATE)
    for _ in range(STEPS):
        batch = x[torch.randint(len(x), (BATCH,), generator=random)]
        optimizer.zero_grad()
        loss = (sae.reconstruct(batch) - batch).square().sum(-1).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        with torch.no_grad():
            sae.decoder.copy_(torch.nn.functional.normalize(sae.decoder, dim=-1))
    return sae


def save_sae(folder: Path, sae: SmallSae, layer: int) -> None:
    """As SAELens 6 would, for inference."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "architecture": "topk",
        "d_in": sae.encoder.shape[0],
        "d_sae": FEATURES,
        "k": K,
        "dtype": "float32",
        "normalize_activations": "none",
        "apply_b_dec_to_input": True,
        "metadata": {"hook_name": f"blocks.{layer}.hook_resid_post", "sae_lens_version": "6.54.12"},
    }
    (folder / "cfg.json").write_text(json.dumps(config, indent=2) + "\n")
    weights = {
        "W_enc": sae.encoder,
        "b_enc": sae.encoder_bias,
        "W_dec": sae.decoder,
        "b_dec": sae.decoder_bias,
    }
    save_file(
        {name: weight.detach().contiguous() for name, weight in weights.items()}, folder / "sae_weights.safetensors"
    )
