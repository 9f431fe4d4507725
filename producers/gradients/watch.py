"""Measuring a model's gradient norms by itself, at the right moment, without waiting for the device."""

import math
import sys
from collections.abc import Iterable, Sequence
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Protocol, cast

import torch

from producers.complaints import Complaints
from producers.gradients.hooks import listen, parameters_of, scale_of, stop_listening
from producers.gradients.norms import Measured, fetched, is_dtensor, layer_of, norms_of, summed
from producers.gradients.positions import Positions
from producers.gradients.sharded import ShardedNorms, Slot

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh
    from torch.distributed.tensor import DTensor

STEPS_BEFORE_COMPLAINT = 10


class Scaler(Protocol):
    """What is asked of a ``torch.amp.GradScaler``."""

    def is_enabled(self) -> bool:
        """Whether it scales at all."""

    def get_scale(self) -> float:
        """The scale; waits for the device."""


class GradientWatch:
    """Measures the gradient norm of every parameter of `model` once an optimizer step; `take` gives the latest.

    That is at the first of `measure`, a clip (torch.nn.utils) that includes the parameter, and the optimizer step that
    does: before clipping, after unscaling, and after the last backward of those that accumulate. Watch the model once
    it is wrapped and sharded. Call `measure` before a clip that `gradient_hooks` cannot see. Parameters that are frozen
    or have no gradient are left out, tied ones count once. No parameter is kept alive. Nothing here raises into the
    loop: what cannot be measured is said once in the log named ``streakline``.

    `scaler` is the GradScaler of a training in half precision: it overflows on purpose until its scale has settled,
    and norms that are not finite are left out for as long as the scale has room to fall.

    Gradients that are the same on all ranks (DDP) need one rank only. Sharded ones (DTensor) take an all-reduce of one
    number a parameter at every clip, and at every optimizer step without one, on every rank of their mesh: all have to
    clip and step alike, and each has to make its watch, those that do not publish with ``takes=False``. Making it waits
    until all have, for at most `timeout_seconds`; after that the sharded gradients are left out on all of them.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        *,
        scaler: Scaler | None = None,
        takes: bool = True,
        timeout_seconds: float = 120.0,
    ) -> None:
        self._scaler = scaler
        self._takes = takes
        self._complaints = Complaints()
        self._pending: list[tuple[list[int], torch.Tensor]] = []
        self._measured: set[int] = set()
        self._is_lost = False
        self._steps = 0
        named = self._watchable(model)
        self._layers = [layer_of(name) for name, _ in named]
        plain = [(owner, parameter) for owner, (_, parameter) in enumerate(named) if not is_dtensor(parameter)]
        self._plain = Positions(plain if takes else ())
        self._sharded = self._started(named, timeout_seconds)
        self._is_unmeasured = bool(plain or self._sharded)
        if takes:
            listen(self)

    def measure(self) -> None:
        """Measure now what has not been measured for the coming optimizer step: after unscaling, before clipping.

        With sharded gradients, call it on every rank or on none.
        """
        try:
            self._measure(self._plain, None)
            for sharded in self._sharded:
                sharded.measure()
        except Exception as error:
            self.failed(error)

    def take(self) -> Measured | None:
        """The latest that was measured since the last time; waits for each device once. None where nothing was."""
        if not self._takes:
            return None
        pending, self._pending, self._measured = self._pending, [], set()
        is_lost, self._is_lost = self._is_lost, False
        try:
            norms = self._fetched(pending)
            if is_lost or not norms or self._is_overflow(norm for _, norm in norms):
                return None
            return summed((self._layers[owner] for owner, _ in norms), [norm for _, norm in norms])
        except Exception as error:
            self.failed(error)
            self._is_lost = False
            return None

    def close(self) -> None:
        """Watch no more. Only the all-reduce of sharded gradients goes on, empty, for ranks that have not closed."""
        stop_listening(self)
        self._plain = Positions(())
        self._pending = []
        for sharded in self._sharded:
            sharded.release()
        self._sharded = []

    def before_clip(self, parameters: Sequence[torch.Tensor]) -> None:
        """Measure those of `parameters` that are watched."""
        self._measure(self._plain.among(parameters), None)

    def before_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Measure what `optimizer` updates and is watched."""
        held = self._plain.among(parameters_of(optimizer))
        self._measure(held, scale_of(optimizer))
        # What comes after it are the next step's gradients, whether this one is taken or not.
        self._measured.difference_update(owner for owner, _ in held)
        if self._is_unmeasured:
            self._missed()

    def failed(self, error: Exception) -> None:
        """The step has no norms."""
        self._is_lost = True
        self._complaints.say(f"gradients cannot be measured: {type(error).__name__}: {error}")

    def _measure(self, parameters: Iterable[tuple[int, torch.Tensor]], scale: torch.Tensor | None) -> None:
        owners: list[int] = []
        grads: list[torch.Tensor] = []
        for owner, parameter in parameters:
            if owner not in self._measured:
                grad = parameter.grad
                if grad is not None and parameter.requires_grad:
                    owners.append(owner)
                    grads.append(grad)
        if self._pending:
            # Of steps that nobody takes, the last is kept.
            superseded = set(owners)
            self._pending = [each for each in self._pending if not superseded.issuperset(each[0])]
        for part in norms_of(grads):
            norms = part.norms if scale is None else part.norms / scale.to(part.norms.device)
            self._pending.append(([owners[index] for index in part.indexes], norms))
        if owners:
            self._is_unmeasured = False
            self._measured.update(owners)

    def _fetched(self, pending: list[tuple[list[int], torch.Tensor]]) -> list[tuple[int, float]]:
        """(owner, norm) in the model's order; none where another rank has failed."""
        reduced = [(sharded, part) for sharded in self._sharded for part in sharded.take()]
        numbers = iter(fetched([norms for _, norms in pending] + [part.vector for _, part in reduced]))
        found = {owner: norm for owners, _ in pending for owner, norm in zip(owners, next(numbers), strict=True)}
        for sharded, part in reduced:
            norms = sharded.read(part, next(numbers))
            if norms is None:
                return []
            found.update(norms)
        return sorted(found.items(), key=itemgetter(0))

    def _is_overflow(self, norms: Iterable[float]) -> bool:
        """Whether `norms` are not finite for the scale's sake, as far as can be known."""
        if self._scaler is None or all(map(math.isfinite, norms)) or not self._scaler.is_enabled():
            return False
        return self._scaler.get_scale() >= 1.0

    def _missed(self) -> None:
        if any(sharded.has_reduced for sharded in self._sharded):
            self._is_unmeasured = False
            return
        self._steps += 1
        if self._steps == STEPS_BEFORE_COMPLAINT:
            self._is_unmeasured = False
            self._complaints.say(
                f"no gradient of the watched model was seen in {self._steps} optimizer steps: watch it after it is "
                "wrapped, sharded and given to the optimizer; DeepSpeed's ZeRO and Megatron keep gradients elsewhere, "
                "whose norms can be passed to step() as max_grad and grad_norms"
            )

    def _watchable(self, model: torch.nn.Module) -> list[tuple[str, torch.Tensor]]:
        fsdp = sys.modules.get("torch.distributed.fsdp")
        flat: set[int] = set()
        if fsdp is not None:
            wrappers = (each for each in model.modules() if isinstance(each, fsdp.FullyShardedDataParallel))
            flat = {id(parameter) for wrapper in wrappers for parameter in wrapper.parameters()}
        if flat:
            self._complaints.say(
                "gradients in FullyShardedDataParallel are not measured: use fully_shard (FSDP2), or pass their norms "
                "to step() as max_grad and grad_norms"
            )
        return [(name, parameter) for name, parameter in model.named_parameters() if id(parameter) not in flat]

    def _started(self, named: list[tuple[str, torch.Tensor]], timeout_seconds: float) -> list[ShardedNorms]:
        meshes: dict[DeviceMesh, list[Slot]] = {}
        for owner, (name, parameter) in enumerate(named):
            if not is_dtensor(parameter):
                continue
            sharded = cast("DTensor", parameter)
            if sharded.device_mesh.get_coordinate() is not None:  # This rank is on it.
                meshes.setdefault(sharded.device_mesh, []).append(Slot(owner, name, sharded))
        try:
            made = [ShardedNorms(mesh, slots, self._complaints) for mesh, slots in meshes.items()]
            # In an order that is the same on all ranks: each waits for the others of its mesh.
            made.sort(key=attrgetter("question"))
            started = [each for each in made if each.start(timeout_seconds=timeout_seconds)]
        except Exception as error:
            self.failed(error)
            return []
        if len(started) < len(made):
            self._complaints.say(
                f"sharded gradients are not measured: not every rank has watched the model within {timeout_seconds:g} "
                "seconds: make the publisher and call watch(model) on all ranks, also on those that do not publish"
            )
        return started
