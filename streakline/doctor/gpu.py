"""What diffs are computed on."""

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from msgspec import Struct

from streakline.doctor.findings import Finding, ok, warning, wrong

_SUBJECT = "gpu"
_LITTLE_BYTES = 4 << 30
_INSTALL = "install a build of PyTorch for its CUDA version, as pytorch.org says"


class Device(Struct, frozen=True):
    """One GPU that PyTorch sees."""

    name: str
    free_bytes: int
    total_bytes: int


class TorchFacts(Struct, frozen=True, kw_only=True):
    """What PyTorch says, and the machine."""

    version: str
    cuda: str | None
    """version that it was built for; None: for the CPU only"""
    devices: Sequence[Device]
    has_driver: bool
    """whether NVIDIA's driver is loaded"""


def look_at_gpu(device: str) -> Iterator[Finding]:
    """`device` is that of the settings. Imports PyTorch, where it is installed."""
    if find_spec("torch") is None:
        yield ok(_SUBJECT, "PyTorch is not installed, which only `diff` and `diff-worker` need")
        return
    yield from judge_torch(_facts(), device)


def _facts() -> TorchFacts:
    import torch

    devices = []
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(index)
            devices.append(Device(torch.cuda.get_device_name(index), free, total))
    return TorchFacts(
        version=torch.__version__,
        cuda=torch.version.cuda,
        devices=devices,
        has_driver=Path("/proc/driver/nvidia/version").exists(),
    )


def judge_torch(facts: TorchFacts, device: str) -> Iterator[Finding]:
    """What there is to say of it. Pure."""
    built = f"PyTorch {facts.version}, built for {'the CPU only' if facts.cuda is None else f'CUDA {facts.cuda}'}"
    wanted = device.partition(":")
    if not facts.devices:
        if facts.has_driver:
            yield warning(_SUBJECT, f"there is a GPU's driver, and {built} sees no GPU", _INSTALL)
        elif wanted[0] == "cuda":
            yield wrong(_SUBJECT, f"STREAKLINE_DEVICE is {device}, and {built} sees no GPU", "unset it, or add a GPU")
        else:
            yield ok(_SUBJECT, f"{built}; no GPU: diffs are computed on the CPU, which takes longer")
        return
    for index, each in enumerate(facts.devices):
        room = f"{each.free_bytes / 2**30:,.1f} of {each.total_bytes / 2**30:,.1f} GiB free"
        said = f"{built}; cuda:{index} is {each.name}, {room}"
        if each.free_bytes < _LITTLE_BYTES:
            yield warning(_SUBJECT, f"{said}, which is little", "end what else runs there, or set STREAKLINE_DEVICE")
        else:
            yield ok(_SUBJECT, said)
    if wanted[0] == "cuda" and wanted[2].isdecimal() and int(wanted[2]) >= len(facts.devices):
        yield wrong(_SUBJECT, f"STREAKLINE_DEVICE is {device}, and there is none such", "set it to one that there is")
