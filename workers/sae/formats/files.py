"""What lies in an SAE's folder, read with distrust: configs of known shape, tensors of the shape asked for."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec
import torch
from safetensors import SafetensorError, safe_open

from workers.errors import DiffError
from workers.sae.formats.refusals import invalid, quoted

MAX_CONFIG_BYTES = 1 << 20
MAX_SIDE = 1 << 24
"""of a matrix: past any SAE there is"""

T = TypeVar("T")


@dataclass(frozen=True)
class Placement:
    """Where tensors go; the dtype is the two large matrices', all others are float32."""

    device: torch.device
    dtype: torch.dtype


def read_config(path: Path, kind: type[T]) -> T:
    """Raises `DiffError` where `path` is not JSON of that shape; NaN and numbers past a float's are none."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise invalid(path.parent, f"{path.name} cannot be read ({error.strerror}); copy the folder again") from error
    if len(raw) > MAX_CONFIG_BYTES:
        raise invalid(path.parent, f"{path.name} is larger than 1 MiB; point at the folder of one SAE")
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid(path.parent, f"{path.name} is malformed ({error}); save the SAE again") from error


def sha_of(*paths: Path) -> str:
    """SHA-256 over names and contents, in the order given."""
    whole = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        whole.update(f"{path.name}\0{digest}\0".encode())
    return whole.hexdigest()


class Container(Protocol):
    """A file of named tensors."""

    @property
    def path(self) -> Path:
        """Where it is."""
        ...

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What reading raises where the file is at fault."""
        ...

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of every tensor in it."""
        ...

    def tensor(self, name: str) -> torch.Tensor:
        """On the CPU."""
        ...


@dataclass(frozen=True)
class SafetensorsFile:
    """Opened anew for each tensor: an SAE outlives its loading, and a handle would outlive it too."""

    path: Path
    errors: tuple[type[Exception], ...] = (SafetensorError, OSError)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of every tensor in it, from the header."""
        with safe_open(self.path, framework="pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - no mapping

    def tensor(self, name: str) -> torch.Tensor:
        """On the CPU."""
        with safe_open(self.path, framework="pt") as file:
            tensor: torch.Tensor = file.get_tensor(name)
        return tensor


@dataclass(frozen=True)
class TorchFile:
    """A `torch.save`d state dict, of which PyTorch unpickles tensors and plain containers only."""

    path: Path
    errors: tuple[type[Exception], ...] = (Exception,)
    """what a hostile or damaged pickle raises is anyone's guess"""

    def _state(self) -> dict[str, torch.Tensor]:
        state = torch.load(self.path, map_location="cpu", weights_only=True, mmap=True)
        if not isinstance(state, dict):
            raise TypeError(f"it holds a {type(state).__name__}, not a state dict")
        return {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of every tensor in it."""
        return {name: tuple(value.shape) for name, value in self._state().items()}

    def tensor(self, name: str) -> torch.Tensor:
        """On the CPU."""
        return self._state()[name]


def _is_plain(tensor: torch.Tensor) -> bool:
    """Whether all of it is in the file: a pickle may repeat one number a billion times, and copying writes it out."""
    if tensor.layout is not torch.strided or tensor.device.type != "cpu":
        return False
    return tensor.untyped_storage().nbytes() >= tensor.numel() * tensor.element_size()


class Weights:
    """The tensors of one SAE, each checked as it is read; raises `DiffError`."""

    def __init__(self, folder: Path, file: Container, placement: Placement) -> None:
        self._folder = folder
        self._file = file
        self._placement = placement
        self.shapes = self._guarded(file.shapes)

    def read(
        self, name: str, shape: tuple[int, ...], *, dtype: torch.dtype = torch.float32, transposed: bool = False
    ) -> torch.Tensor:
        """`name` in `dtype` on the device; `shape` is the file's, before it is transposed."""
        found = self.shapes.get(name)
        if found is None:
            raise self._invalid(f"it has no tensor {name}")
        if found != shape:
            raise self._invalid(f"{name} has the shape {list(found)}, not {list(shape)} as its config says")
        tensor = self._guarded(lambda: self._file.tensor(name))
        if not tensor.is_floating_point():
            raise self._invalid(f"{name} holds {tensor.dtype}, not floating-point numbers")
        if not _is_plain(tensor):
            raise self._invalid(f"{name} is sparse, or smaller than it says")
        if transposed:
            tensor = tensor.T
        # Cloned: what is mapped would change with the file, or fault when it is cut short.
        tensor = tensor.detach().to(self._placement.device, dtype, memory_format=torch.contiguous_format, copy=True)
        if not tensor.isfinite().all():
            raise self._invalid(f"{name} holds numbers that are not finite in {dtype}")
        return tensor

    def matrix(self, name: str, shape: tuple[int, int], *, transposed: bool = False) -> torch.Tensor:
        """Of the two large ones: in the dtype asked for."""
        return self.read(name, shape, dtype=self._placement.dtype, transposed=transposed)

    def first_of(self, *names: str) -> str:
        """The first of `names` that is there; else the first, which `read` will miss."""
        return next((name for name in names if name in self.shapes), names[0])

    def _invalid(self, what: str) -> DiffError:
        return invalid(self._folder, f"{what} ({self._file.path.name}); save or copy it again")

    def _guarded(self, read: Callable[[], T]) -> T:
        try:
            return read()
        except self._file.errors as error:
            raise self._invalid(f"its weights cannot be read: {quoted(str(error))}") from error
