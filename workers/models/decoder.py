"""Taps on a decoder: one layer's output, one position's logits."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn
from transformers import PreTrainedModel

from workers.errors import DiffError


class _Reached(Exception):
    """The last layer that was asked for is done."""


def output_head(model: PreTrainedModel) -> nn.Linear:
    """What turns the last hidden state into logits."""
    head: nn.Linear = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    return head


def decoder_layers(model: PreTrainedModel) -> nn.ModuleList:
    """The list of layers, under whichever name the architecture has it. Raises DiffError."""
    decoder, wanted = _decoder(model), model.config.get_text_config().num_hidden_layers
    for _, module in decoder.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == wanted:
            return module
    raise DiffError(
        "checkpoint_invalid",
        f"{type(model).__name__} has no list of {wanted} decoder layers: "
        "SAEs cannot be compared on it. Run the diff without SAEs.",
    )


def residuals(
    model: PreTrainedModel, layers: Sequence[int], ids: torch.Tensor, mask: torch.Tensor
) -> dict[int, torch.Tensor]:
    """layer → (batch, tokens, width), what comes out of that layer; the later layers are not run."""
    modules, last = decoder_layers(model), max(layers)
    seen: dict[int, torch.Tensor] = {}

    def keep(layer: int, output: torch.Tensor | tuple[torch.Tensor, ...]) -> None:
        seen[layer] = output if isinstance(output, torch.Tensor) else output[0]
        if layer == last:
            raise _Reached

    handles = [
        modules[layer].register_forward_hook(lambda _module, _inputs, output, layer=layer: keep(layer, output))
        for layer in set(layers)
    ]
    try:
        _decoder(model)(input_ids=ids, attention_mask=mask, use_cache=False)
    except _Reached:
        pass
    finally:
        for handle in handles:
            handle.remove()
    return seen


def logits_at(
    model: PreTrainedModel, ids: torch.Tensor, mask: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor
) -> torch.Tensor:
    """(positions, vocabulary) fp32, after token `columns[i]` of text `rows[i]`; no other logits are computed.

    The model's own forward runs, so its soft-capping and scaling are part of them.
    """
    with _head_sees(output_head(model), rows, columns):
        logits: torch.Tensor = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
    return logits[0].float()


def _decoder(model: PreTrainedModel) -> nn.Module:
    decoder: nn.Module = model.get_decoder()  # type: ignore[no-untyped-call]
    return decoder


@contextmanager
def _head_sees(head: nn.Module, rows: torch.Tensor, columns: torch.Tensor) -> Iterator[None]:
    def select(_module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return (inputs[0][rows, columns].unsqueeze(0), *inputs[1:])

    handle = head.register_forward_pre_hook(select)
    try:
        yield
    finally:
        handle.remove()
