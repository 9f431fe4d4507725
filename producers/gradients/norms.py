"""Gradient norms of a model's layers with one device sync. Imports torch."""

import math
import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import cast

import torch
from msgspec import Struct
from torch.utils._foreach_utils import _group_tensors_by_device_and_dtype

# What torch.compile, FSDP and activation checkpointing put into the name of every parameter they wrap.
_WRAPPERS = frozenset(("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"))

# In these a sum of squares overflows at norms that training meets.
_NARROW = frozenset((torch.float16, torch.bfloat16))


class Measured(Struct, frozen=True):
    """The gradient norms of one step, as `StepPublisher.step` takes them."""

    max_grad: float | None
    """largest norm of one parameter's gradient; NaN where any is NaN, None where no parameter has a gradient"""
    grad_norms: dict[str, float]
    """layer → norm of all its gradients together"""


def layer_of(parameter_name: str) -> str:
    """The layer that a parameter is counted to: its module, cut one component after the first number.

    The prefixes of DDP, FSDP and torch.compile are left out.

    >>> layer_of("model.layers.0.self_attn.q_proj.weight"), layer_of("layers.3.mlp.experts.7.w1.weight")
    ('model.layers.0.self_attn', 'layers.3.mlp')
    >>> layer_of("module._orig_mod.blocks.2.weight"), layer_of("lm_head.weight"), layer_of("cls_token")
    ('blocks.2', 'lm_head', 'cls_token')
    """
    components = [component for component in parameter_name.split(".") if component not in _WRAPPERS]
    if len(components) > 1 and components[0] == "module":
        del components[0]
    modules = components[:-1] or components
    for index, component in enumerate(modules):
        if component.isdecimal():
            return ".".join(modules[: index + 2])
    return ".".join(modules)


class GradientNorms:
    """Measures the gradient norms of a model's parameters, grouped by layer, when it is asked to.

    `StepPublisher.watch` does this by itself at the right moment; this is for loops that want to choose it.

    Takes a module or ``(name, parameter)`` pairs as they are now: make it after the model is wrapped. A parameter
    under several names (tied weights) counts once, under the first. `group` maps a parameter's name to its layer.
    Raises TypeError for parameters that are sharded over processes (DTensor: FSDP2, tensor parallelism), whose norms
    `StepPublisher.watch` measures.

    >>> model = torch.nn.Linear(2, 1, bias=False)
    >>> model(torch.tensor([[3.0, 4.0]])).sum().backward()
    >>> GradientNorms(model).measure()
    Measured(max_grad=5.0, grad_norms={'weight': 5.0})
    """

    def __init__(
        self,
        parameters: torch.nn.Module | Iterable[tuple[str, torch.Tensor]],
        group: Callable[[str], str] = layer_of,
    ) -> None:
        named = parameters.named_parameters() if isinstance(parameters, torch.nn.Module) else parameters
        unique: dict[int, tuple[str, torch.Tensor]] = {}
        for name, parameter in named:
            if is_dtensor(parameter):
                raise TypeError(f"{name} is sharded over processes: let StepPublisher.watch measure it")
            unique.setdefault(id(parameter), (group(name), parameter))
        self._parameters = list(unique.values())

    def measure(self) -> Measured:
        """The norms of the gradients as they are now; parameters that are frozen or have no gradient are left out.

        Call it after unscaling (``GradScaler.unscale_``) and before clipping: the bounds that signals are judged by
        are for norms in the loss's own scale, and a clipped norm says nothing. It reads every gradient once, writes
        one number a parameter, and waits for the device once; once for each device where the model spans several,
        and once more for each sparse gradient, whose duplicate rows have to be added up. Gradients in half precision
        are accumulated in float32, the others in their own type; groups are added up in float64.
        """
        layers: list[str] = []
        grads: list[torch.Tensor] = []
        for layer, parameter in self._parameters:
            grad = parameter.grad
            if grad is not None and parameter.requires_grad:
                layers.append(layer)
                grads.append(grad)
        pending = norms_of(grads)
        numbers = fetched([part.norms for part in pending])
        owners = [layers[index] for part in pending for index in part.indexes]
        return summed(owners, [norm for part in numbers for norm in part])


class Pending(Struct, frozen=True):
    """Norms that are still on their device."""

    indexes: list[int]
    """which gradient each is of"""
    norms: torch.Tensor
    """one number each"""


def is_dtensor(tensor: torch.Tensor) -> bool:
    """Whether `tensor` is a DTensor; of these there are none where nobody has imported them."""
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, module.DTensor)


@torch.no_grad()
def norms_of(grads: Sequence[torch.Tensor]) -> list[Pending]:
    """The norm of each of `grads`, once each, on its device, which is not waited for."""
    dense: list[torch.Tensor | None] = [grad if grad.layout is torch.strided else _values(grad) for grad in grads]
    pending = []
    # A fused kernel takes tensors of one device and one type; mixed, they would go one by one.
    buckets = _group_tensors_by_device_and_dtype([dense], with_indices=True) if dense else {}
    for (_, dtype), ((bucket,), indexes) in buckets.items():
        held = cast("list[torch.Tensor]", bucket)
        norms = torch._foreach_norm(held, 2, torch.float32 if dtype in _NARROW else None)  # noqa: SLF001
        pending.append(Pending(indexes, torch.stack(norms)))
    return pending


def fetched(vectors: Sequence[torch.Tensor]) -> list[list[float]]:
    """The numbers of `vectors`; waits once for each device that they are on."""
    devices: dict[torch.device, list[torch.Tensor]] = {}
    for vector in vectors:
        devices.setdefault(vector.device, []).append(vector)
    # Every device gets its work before the first is waited for.
    joined = {device: torch.cat(held) for device, held in devices.items()}
    numbers = {device: iter(held.tolist()) for device, held in joined.items()}
    return [list(islice(numbers[vector.device], len(vector))) for vector in vectors]


def summed(layers: Iterable[str], norms: Sequence[float]) -> Measured:
    """What gradients with these `norms`, each of one of `layers`, come to."""
    parts: dict[str, list[float]] = {}
    for layer, norm in zip(layers, norms, strict=True):
        parts.setdefault(layer, []).append(norm)
    return Measured(_maximum(norms), {layer: math.hypot(*part) for layer, part in parts.items()})


def _values(grad: torch.Tensor) -> torch.Tensor:
    return grad.coalesce().values() if grad.layout is torch.sparse_coo else grad.values()


def _maximum(norms: Sequence[float]) -> float | None:
    # max() would pass a NaN over, depending on where it stands.
    return math.nan if any(map(math.isnan, norms)) else max(norms, default=None)
