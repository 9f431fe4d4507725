"""Gradient norms of a model's layers with one device sync. The only module of this package that imports torch."""

import math
from collections.abc import Callable, Iterable

import torch
from msgspec import Struct

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
    """Measures the gradient norms of a model's parameters, grouped by layer.

    Takes a module or ``(name, parameter)`` pairs as they are now: make it after the model is wrapped. A parameter
    under several names (tied weights) counts once, under the first. `group` maps a parameter's name to its layer.

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
            unique.setdefault(id(parameter), (group(name), parameter))
        self._parameters = list(unique.values())

    @torch.no_grad()
    def measure(self) -> Measured:
        """The norms of the gradients as they are now; parameters that are frozen or have no gradient are left out.

        Call it after unscaling (``GradScaler.unscale_``) and before clipping: the bounds that signals are judged by
        are for norms in the loss's own scale, and a clipped norm says nothing. It reads every gradient once, writes
        one number a parameter, and waits for the device once; once for each device where the model spans several,
        and once more for each sparse gradient, whose duplicate rows have to be added up. Gradients in half precision
        are accumulated in float32, the others in their own type; groups are added up in float64. Gradients that are
        sharded over processes (DTensor) are not gathered: not for FSDP2 or tensor parallelism yet.
        """
        # A fused kernel takes tensors of one device and one type; mixed, they would go one by one.
        buckets: dict[tuple[torch.device, torch.dtype], _Bucket] = {}
        for layer, parameter in self._parameters:
            grad = parameter.grad
            if grad is None or not parameter.requires_grad:
                continue
            bucket = buckets.setdefault((grad.device, grad.dtype), _Bucket([], []))
            bucket.layers.append(layer)
            bucket.grads.append(grad if grad.layout is torch.strided else _values(grad))
        devices: dict[torch.device, list[_Bucket]] = {}
        for (device, _), bucket in buckets.items():
            devices.setdefault(device, []).append(bucket)
        # Every device gets its work before the first is waited for.
        pending = [(held, torch.cat([_norms(bucket.grads) for bucket in held])) for held in devices.values()]
        norms: list[float] = []
        layers: dict[str, list[float]] = {}
        for held, stacked in pending:
            fetched = stacked.tolist()
            norms += fetched
            names = (layer for bucket in held for layer in bucket.layers)
            for layer, norm in zip(names, fetched, strict=True):
                layers.setdefault(layer, []).append(norm)
        return Measured(_maximum(norms), {layer: math.hypot(*parts) for layer, parts in layers.items()})


class _Bucket(Struct):
    layers: list[str]
    grads: list[torch.Tensor]


def _values(grad: torch.Tensor) -> torch.Tensor:
    return grad.coalesce().values() if grad.layout is torch.sparse_coo else grad.values()


def _norms(grads: list[torch.Tensor]) -> torch.Tensor:
    """One number a tensor, on their device."""
    dtype = torch.float32 if grads[0].dtype in _NARROW else None
    return torch.stack(torch._foreach_norm(grads, 2, dtype))  # noqa: SLF001


def _maximum(norms: list[float]) -> float | None:
    # max() would pass a NaN over, depending on where it stands.
    return math.nan if any(map(math.isnan, norms)) else max(norms, default=None)
