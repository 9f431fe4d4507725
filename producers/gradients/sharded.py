"""The norms of gradients that are spread over processes (DTensor: FSDP2, tensor parallelism), by one small all-reduce.

Every rank of a mesh contributes the squares of what it holds, at the same clips and optimizer steps as all others.
Whether a rank takes part depends on nothing that can differ between ranks: not on what it publishes or has taken, and
not on whether its own part of the work fails.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import torch
from msgspec import Struct
from torch import distributed

from producers.complaints import Complaints
from producers.gradients.agreement import all_ask
from producers.gradients.hooks import listen, parameters_of, scale_of
from producers.gradients.norms import is_dtensor, norms_of
from producers.gradients.positions import Positions

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh
    from torch.distributed.tensor import DTensor
    from torch.distributed.tensor.placement_types import Placement


class Slot(Struct, frozen=True):
    """A parameter, and the number by which whoever asks knows it."""

    owner: int
    name: str
    parameter: "DTensor"


class Reduced(Struct, frozen=True):
    """Squares of norms, summed up over the ranks, still on their device."""

    present: list[int]
    """positions in `vector` of the parameters that have a gradient here"""
    vector: torch.Tensor
    """a square for each slot; then the number of ranks that went well, and of those where `measure` had been called"""


class ShardedNorms:
    """The gradient norms of the parameters in `slots`, all of them on `mesh`; every rank of it makes the same."""

    def __init__(self, mesh: "DeviceMesh", slots: Sequence[Slot], complaints: Complaints) -> None:
        self._mesh = mesh
        self._complaints = complaints
        self._owners = [slot.owner for slot in slots]
        self._slots = Positions((position, slot.parameter) for position, slot in enumerate(slots))
        self._layout = _Layout(mesh, [slot.parameter.placements for slot in slots])
        self._groups = [mesh.get_group(dimension) for dimension in self._layout.sharded]
        self._ranks = math.prod(mesh.size(dimension) for dimension in self._layout.sharded)
        is_wide = any(slot.parameter.dtype is torch.float64 for slot in slots)
        dtype = torch.float64 if is_wide else torch.float32
        self._zero, self._one = torch.tensor([0.0, 1.0], dtype=dtype, device=mesh.device_type).unbind()
        self.question = _question(mesh, slots)
        """the same on all ranks of the mesh, and for nothing else"""
        self._is_read = True
        self._clipped: set[int] = set()
        """positions reduced by a clip since their optimizer's last step"""
        self._explicit: dict[int, torch.Tensor | None] = {}
        """what `measure` found (None: no gradient), to be reduced instead until the optimizer's next step"""
        self._reduced: list[Reduced] = []
        self._taken: set[int] = set()
        """positions that `_reduced` answers for, as far as their optimizer has not stepped since"""

    def start(self, *, timeout_seconds: float) -> bool:
        """Begin, if every rank of the mesh does so within `timeout_seconds`; whether it does."""
        if self._groups:
            store = distributed.distributed_c10d._get_default_store()  # noqa: SLF001
            if not all_ask(store, self.question, self._mesh.size(), timeout_seconds=timeout_seconds):
                return False
        _started[:] = [other for other in _started if other.is_needed]
        _started.append(self)
        listen(self)
        return True

    def release(self) -> None:
        """Read no gradient any more. The collective goes on, for the ranks that count on it."""
        self._is_read = False
        self.take()

    @property
    def is_needed(self) -> bool:
        """Whether any of the parameters is still alive."""
        return len(self._slots) > 0

    @property
    def has_reduced(self) -> bool:
        """Whether there is anything to take."""
        return any(reduced.present for reduced in self._reduced)

    def take(self) -> list[Reduced]:
        """What was reduced since the last time; of a parameter that is in several, the last counts."""
        reduced, self._reduced, self._taken = self._reduced, [], set()
        return reduced

    def read(self, reduced: Reduced, numbers: Sequence[float]) -> list[tuple[int, float]] | None:
        """(owner, norm) of what is in `reduced`, whose vector holds `numbers`; None where a rank failed."""
        *squares, well, explicit = numbers
        if explicit not in (0, self._ranks):
            self._complaints.say(
                "measure() was called on some ranks only, so the step has no norms: call it on all of them, or on none"
            )
            return None
        if well != self._ranks:
            self._complaints.say("sharded gradients were not measured on every rank, so the step has no norms")
            return None
        return [(self._owners[position], math.sqrt(squares[position])) for position in reduced.present]

    def measure(self) -> None:
        """Measure this rank's part now; the next clip or optimizer step sums it up. No collective: ranks may differ."""
        held = list(self._slots)
        self._explicit = dict.fromkeys(position for position, _ in held) | self._norms(held, None)

    def before_clip(self, parameters: Sequence[torch.Tensor]) -> None:
        """Reduce the norms of those that are ours, every time: a step that was skipped leaves no trace here."""
        if held := self._slots.among(parameters):
            self._reduce(held, None)
            self._clipped.update(position for position, _ in held)

    def before_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Reduce the norms of those that no clip has reduced since the last step."""
        held = self._slots.among(parameters_of(optimizer))
        if due := [each for each in held if each[0] not in self._clipped]:
            self._reduce(due, optimizer)
        for position, _ in held:
            self._clipped.discard(position)
            self._taken.discard(position)
            self._explicit.pop(position, None)

    def failed(self, error: Exception) -> None:
        """Say it."""
        self._complaints.say(f"sharded gradients cannot be measured: {type(error).__name__}: {error}")

    @torch.no_grad()
    def _reduce(self, held: list[tuple[int, torch.Tensor]], optimizer: torch.optim.Optimizer | None) -> None:
        norms: dict[int, torch.Tensor] = {}
        status = [self._zero, self._zero]
        if self._is_read:
            try:
                norms = self._part(held, None if optimizer is None else scale_of(optimizer))
                is_explicit = any(position in self._explicit for position, _ in held)
                status = [self._one, self._one if is_explicit else self._zero]
            except Exception as error:
                # The others are waiting all the same.
                self.failed(error)
        vector = torch.stack([*(norms.get(slot, self._zero) for slot in range(len(self._owners))), *status]).square_()
        fresh = {position for position, _ in held} - self._taken
        if self._is_read and fresh:
            self._taken |= fresh
            # Of steps that nobody takes, the last is kept.
            self._reduced = [each for each in self._reduced if not fresh.issuperset(each.present)]
            self._reduced.append(Reduced([position for position in norms if position in fresh], vector))
        for group in self._groups:
            distributed.all_reduce(vector, group=group)

    def _part(self, held: list[tuple[int, torch.Tensor]], scale: torch.Tensor | None) -> dict[int, torch.Tensor]:
        norms = self._norms([each for each in held if each[0] not in self._explicit], scale)
        for position, _ in held:
            if (norm := self._explicit.get(position)) is not None:
                norms[position] = norm
        return norms

    @torch.no_grad()
    def _norms(self, held: list[tuple[int, torch.Tensor]], scale: torch.Tensor | None) -> dict[int, torch.Tensor]:
        """Position → the norm of what this rank holds and has to count, for those that have a gradient."""
        norms: dict[int, torch.Tensor] = {}
        counted: list[int] = []
        grads: list[torch.Tensor] = []
        for position, parameter in held:
            grad = parameter.grad
            if grad is None or not parameter.requires_grad:
                continue
            is_counted = self._layout.is_counted(cast("DTensor", grad).placements) if is_dtensor(grad) else None
            if is_counted is None:
                self._complaints.say(
                    "some gradients are neither sharded like their parameters nor replicated (Partial), and are not "
                    "measured: redistribute them, or pass their norms to step() as max_grad and grad_norms"
                )
                continue
            norms[position] = self._zero
            if is_counted:
                counted.append(position)
                grads.append(cast("DTensor", grad).to_local())
        for pending in norms_of(grads):
            found = pending.norms.to(self._zero)
            found = found if scale is None else found / scale.to(found)
            norms.update(zip((counted[index] for index in pending.indexes), found.unbind(), strict=True))
        return norms


_started: list[ShardedNorms] = []
"""those that the other ranks count on, for as long as their parameters live"""


class _Layout:
    """Which of a mesh's ranks count what they hold of a tensor, so that their sum counts all of it once."""

    def __init__(self, mesh: "DeviceMesh", placements: "Sequence[tuple[Placement, ...]]") -> None:
        self.sharded = [
            dimension
            for dimension in range(mesh.ndim)
            if not all(each[dimension].is_replicate() for each in placements)
        ]
        """the mesh's dimensions that something is sharded over"""
        self._coordinate = cast("list[int]", mesh.get_coordinate())
        self._known: dict[tuple[Placement, ...], bool | None] = {}

    def is_counted(self, placements: "tuple[Placement, ...]") -> bool | None:
        """Whether this rank counts a tensor that is placed so; None where the sum cannot be right."""
        try:
            return self._known[placements]
        except KeyError:
            return self._known.setdefault(placements, self._decided(placements))

    def _decided(self, placements: "tuple[Placement, ...]") -> bool | None:
        is_counted = True
        for dimension, placement in enumerate(placements):
            is_summed = dimension in self.sharded
            if placement.is_replicate():
                # Of equal copies that are summed up, the first counts.
                is_counted = is_counted and not (is_summed and self._coordinate[dimension] > 0)
            elif placement.is_partial() or not is_summed:
                return None
        return is_counted


_asked: Counter[bytes] = Counter()
"""how often this process has made the same: the second is another question than the first"""


def _question(mesh: "DeviceMesh", slots: Sequence[Slot]) -> str:
    described = [
        (slot.name, tuple(slot.parameter.shape), str(slot.parameter.dtype), repr(slot.parameter.placements))
        for slot in slots
    ]
    digest = hashlib.sha256(repr((mesh.device_type, mesh.mesh.tolist(), described)).encode())
    _asked[digest.digest()] += 1
    return f"streakline/{digest.hexdigest()}/{_asked[digest.digest()]}"
