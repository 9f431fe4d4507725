"""SmolLM2-135M, a copy with noise on its weights in place of a fine-tune, and random SAEs as SAELens saves them.

``python -m tests.benchmarks.sae_inputs <folder>``, in a process of its own: what reading GGUF takes is nobody's memory.
"""

import sys
from pathlib import Path
from typing import Any

import torch

from tests.benchmarks import smollm2
from tests.benchmarks.sae_setup import EXPANSION, LAYERS, Place

NOISE = 0.02
"""of each matrix's standard deviation: enough for every feature to move, and far from breaking the model"""


def main() -> None:
    """Write everything."""
    place, file = Place(Path(sys.argv[1])), smollm2.weights()
    assert file is not None
    torch.manual_seed(0)
    _write_models(place, file)
    for folder, layer in zip(place.saes, LAYERS, strict=True):
        _write_sae(folder, layer)


def _write_models(place: Place, file: Path) -> None:
    from transformers import AutoTokenizer, LlamaForCausalLM

    read: Any = smollm2.load(file)
    # A model that came from GGUF cannot be saved; one with the same weights can.
    del read.config.quantization_config
    model = LlamaForCausalLM(read.config)  # type: ignore[no-untyped-call]
    model.load_state_dict(read.state_dict())
    base, ft = place.models
    model.save_pretrained(base)
    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.add_(torch.randn_like(parameter), alpha=NOISE * float(parameter.std()))
    model.save_pretrained(ft)
    for folder in place.models:
        tokenizer.save_pretrained(folder)


def _write_sae(folder: Path, layer: int) -> None:
    import sae_lens

    metadata = sae_lens.saes.sae.SAEMetadata(hook_name=f"blocks.{layer}.hook_resid_post")
    width = 576
    sae = sae_lens.StandardSAE(sae_lens.StandardSAEConfig(d_in=width, d_sae=EXPANSION * width, metadata=metadata))
    directions = torch.nn.functional.normalize(torch.randn(EXPANSION * width, width), dim=-1)
    sae.W_dec.data, sae.W_enc.data = directions, directions.T.contiguous()
    # SmolLM2's residuals have a norm of about 18 a layer, so this is one to three standard deviations: few features
    # fire, as of a trained SAE.
    sae.b_enc.data = -layer * (1 + torch.rand(EXPANSION * width))
    sae.save_model(folder)


if __name__ == "__main__":
    main()
