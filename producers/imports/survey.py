"""The first pass over a recording: which curves it holds, and which of them become what of a step event."""

from collections import Counter
from collections.abc import Iterable
from math import isfinite

import msgspec
from msgspec import Struct

from producers.codec import MAX_EVENT_BYTES
from producers.events import MAX_LAYERS
from producers.imports.names import Field, Meaning, meaning
from producers.imports.readings import LeftOut, Reading, Restarts, UnreadableRecording

MAX_CURVES = 100_000
"""names times runs; what is kept of each is small"""

MAX_RUNS = 1_000

# Of a step event: what there is room for beside the norms, and what a norm takes beside its layer's name.
_REST_BYTES = 4096
_NORM_BYTES = 32
_KEPT_GAPS = 64


class Curve:
    """What is known of one name in one run."""

    def __init__(self) -> None:
        self.count = 0
        self.timed = 0
        """how often the file had a time for it"""
        self.negatives = 0
        self.gaps: Counter[int] = Counter()
        """steps between one value and the next → how often; the first few kinds of gap"""
        self._restarts = Restarts()

    def add(self, value: float, reading: Reading) -> None:
        """Take the next value into account."""
        gap = reading.step - self._restarts.last_step
        if self.count and gap > 0 and (gap in self.gaps or len(self.gaps) < _KEPT_GAPS):
            self.gaps[gap] += 1
        self.count += 1
        self.timed += reading.ts is not None and isfinite(reading.ts)
        self.negatives += value < 0
        self._restarts.attempt_of(reading.step, reading.part)

    @property
    def attempts(self) -> int:
        """How many times the run was begun."""
        return self._restarts.attempt + 1


class Columns(Struct, frozen=True, kw_only=True):
    """Which curve becomes which field of a step event."""

    loss: str
    max_grad: str | None = None
    is_total: bool = False
    """`max_grad` is the norm of all parameters together, not the largest of one"""
    learning_rate: str | None = None
    epoch: str | None = None
    layers: dict[str, str] = {}
    """name → layer"""
    layers_out: int = 0
    """layers that are left out: an event has no room for more"""
    signed_out: int = 0
    """curves of layers that are left out: a value below zero says that they are no norms"""
    total_out: bool = False
    """there are norms of all parameters together, less often than those of layers, and they are left out"""
    has_times: bool = False
    """every loss has a time"""


class Survey:
    """Everything the first pass keeps."""

    def __init__(self) -> None:
        self.left_out = LeftOut()
        self._curves: dict[tuple[str, str], Curve] = {}
        self.runs: dict[str, None] = {}
        """those that have a curve that means something, in the order they were met"""

    def take(self, readings: Iterable[Reading]) -> None:
        """Count what is in `readings`. Raises `UnreadableRecording` where there is too much to keep count of."""
        for reading in readings:
            for name, value in reading.values.items():
                if meaning(name) is None:
                    self.left_out.add_name(name)
                else:
                    self._curve(reading.run, name).add(value, reading)

    def _curve(self, run: str, name: str) -> Curve:
        curve = self._curves.get((run, name))
        if curve is None:
            self.runs[run] = None
            if len(self._curves) == MAX_CURVES or len(self.runs) > MAX_RUNS:
                raise UnreadableRecording(
                    f"holds more than {MAX_CURVES:,} curves or {MAX_RUNS:,} runs: split it, and leave out what is no "
                    "loss and no gradient norm"
                )
            curve = self._curves[run, name] = Curve()
        return curve

    def curves(self, name: str) -> dict[str, Curve]:
        """The curve called `name` of each run that has it."""
        return {run: curve for (run, of), curve in self._curves.items() if of == name}

    @property
    def names(self) -> list[str]:
        """Those that mean something, of all runs."""
        return list(dict.fromkeys(name for _, name in self._curves))

    def columns(self) -> Columns | None:
        """What becomes what, or None where there is no loss."""
        names = {name: found for name in self.names if (found := meaning(name)) is not None}
        loss = self._best(names, "loss")
        if loss is None:
            return None
        norms = {name: found.layer for name, found in names.items() if found.field == "layer"}
        layers = {name: layer for name, layer in norms.items() if not self.negatives(name)}
        fitting = _fitting(layers)
        largest = self._best(names, "max_grad")
        total = None if largest else self._best(names, "total_norm")
        # A series of norms of one kind: a layer's beside one of all parameters would look like a fall and a spike.
        is_sparse = total is not None and self._count(total) < max(map(self._count, fitting), default=0)
        total = None if is_sparse else total
        curves = self.curves(loss).values()
        return Columns(
            loss=loss,
            max_grad=largest or total,
            is_total=total is not None,
            learning_rate=self._best(names, "learning_rate"),
            epoch=self._best(names, "epoch"),
            layers=fitting,
            layers_out=len(layers) - len(fitting),
            signed_out=len(norms) - len(layers),
            total_out=is_sparse,
            has_times=all(curve.timed == curve.count for curve in curves),
        )

    def _best(self, names: dict[str, Meaning], field: Field) -> str | None:
        """The name that is recorded most often; of several the one that is ranked best."""
        candidates = [name for name, found in names.items() if found.field == field]
        if not candidates:
            return None
        return min(candidates, key=lambda name: (-self._count(name), names[name].rank, name))

    def _count(self, name: str) -> int:
        return sum(self._curves[run, name].count for run in self.runs if (run, name) in self._curves)

    def negatives(self, name: str) -> int:
        """How many values of the curve called `name` are below zero."""
        return sum(self._curves[run, name].negatives for run in self.runs if (run, name) in self._curves)


def _fitting(layers: dict[str, str]) -> dict[str, str]:
    """As many of `layers` as an event has room for, one name for each layer."""
    fitting: dict[str, str] = {}
    taken: set[str] = set()
    room = MAX_EVENT_BYTES - _REST_BYTES
    for name, layer in layers.items():
        if layer in taken or len(taken) == MAX_LAYERS:
            continue
        room -= len(msgspec.json.encode(layer)) + _NORM_BYTES
        if room < 0:
            break
        taken.add(layer)
        fitting[name] = layer
    return fitting
