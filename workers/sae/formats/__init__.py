"""Read SAEs as the libraries that train them save them; which one it was, the file names say."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch

from workers.errors import DiffError
from workers.sae.encoder import Sae
from workers.sae.formats import dictionary_learning, saelens, sparsify
from workers.sae.formats.files import Placement
from workers.sae.formats.refusals import invalid


class Format(NamedTuple):
    """A library's way to save an SAE."""

    config: str
    weights: str
    load: Callable[[Path, Placement], Sae]
    """raises `DiffError`"""


FORMATS = tuple(Format(form.CONFIG, form.WEIGHTS, form.load) for form in (saelens, sparsify, dictionary_learning))
PICKLES = {".pt", ".pth", ".bin", ".pkl", ".pickle", ".ckpt", ".npz"}


def load_sae(folder: Path, device: torch.device, dtype: torch.dtype) -> Sae:
    """The SAE in `folder`, its matrix in `dtype` on `device`; raises `DiffError`."""
    if not folder.is_dir():
        raise DiffError("missing", f"There is no SAE folder {folder}: correct the path, or copy the SAE there.")
    for form in FORMATS:
        if (folder / form.weights).is_file():
            if not (folder / form.config).is_file():
                raise invalid(folder, f"{form.config} is missing beside {form.weights}; copy the folder again")
            return form.load(folder, Placement(device, dtype))
    if pickles := sorted(path.name for path in folder.iterdir() if path.suffix.lower() in PICKLES):
        message = (
            f"The SAE in {folder} is a pickle ({pickles[0]}), which can run code as it is read:"
            " save it as safetensors, or with dictionary_learning as ae.pt."
        )
        raise DiffError("unsafe_format", message)
    known = ", ".join(f"{form.config} with {form.weights}" for form in FORMATS)
    raise invalid(folder, f"it holds no weights that are known; name a folder with one of: {known}")
