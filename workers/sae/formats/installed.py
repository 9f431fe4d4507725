"""Formats of SAEs that installed packages bring, under the entry point group ``streakline.sae_formats``."""

from pathlib import Path

import torch

from producers.extensions import BrokenExtension, load, offered
from workers.errors import DiffError
from workers.sae.encoder import Sae
from workers.sae.formats.files import Placement
from workers.sae.formats.format import Format

GROUP = "streakline.sae_formats"
SUFFIX = ".safetensors"


def installed_formats() -> dict[str, Format]:
    """By name. Raises `DiffError` where one of them cannot be had, or reads weights that are no safetensors."""
    try:
        return {name: _checked(name, load(point)) for name, point in offered(GROUP).items()}
    except BrokenExtension as broken:
        raise DiffError("sae_unsupported", str(broken)) from broken


def load_installed(name: str, form: Format, folder: Path, placement: Placement) -> Sae:
    """The SAE in `folder`. Raises `DiffError`, also for whatever else the package does wrong."""
    try:
        sae = form.load(folder, placement)
        fault = _fault(sae, placement)
    except (DiffError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise _at_fault(name, folder, f"failed: {error!r}") from error
    if fault is not None:
        raise _at_fault(name, folder, fault)
    return sae


def _fault(sae: object, placement: Placement) -> str | None:
    """What is wrong with what a package gave; a shape that does not fit would fail far from here."""
    if not isinstance(sae, Sae):
        return f"gave a {type(sae).__name__}, not an Sae"
    if sae.layer < 0:
        return f"gave the layer {sae.layer}"
    width, n = sae.encoder.shape
    for field, tensor, shape, dtype in (
        ("encoder", sae.encoder, (width, n), placement.dtype),
        ("encoder_bias", sae.encoder_bias, (n,), torch.float32),
        ("decoder_bias", sae.decoder_bias, (width,), torch.float32),
    ):
        if tensor.shape != shape or tensor.dtype != dtype or tensor.device.type != placement.device.type:
            what = f"{list(tensor.shape)} in {tensor.dtype} on {tensor.device}"
            return f"gave an {field} of {what}, where {list(shape)} in {dtype} on {placement.device} is wanted"
    return None


def _checked(name: str, form: object) -> Format:
    if not isinstance(form, Format):
        raise BrokenExtension(
            f"The SAE format {name!r} is a {type(form).__name__}; make it a Format of workers.sae.formats.format."
        )
    if not form.weights.endswith(SUFFIX) or {Path(file).name for file in form[:2]} != set(form[:2]):
        raise BrokenExtension(
            f"The SAE format {name!r} reads {form.config!r} and {form.weights!r}; both have to be names of files, and "
            f"the weights' to end in {SUFFIX}: anything else can run code as it is read."
        )
    return form


def _at_fault(name: str, folder: Path, what: str) -> DiffError:
    return DiffError("sae_invalid", f"The SAE format {name!r} {what}, for the SAE in {folder}. Repair its package.")
