"""Read SAEs as the libraries that train them save them; which one it was, the file names say."""

from pathlib import Path

import torch

from workers.errors import DiffError
from workers.sae.encoder import Sae
from workers.sae.formats import dictionary_learning, saelens, sparsify
from workers.sae.formats.files import Placement
from workers.sae.formats.format import Format
from workers.sae.formats.installed import installed_formats, load_installed
from workers.sae.formats.refusals import invalid

FORMATS = tuple(Format(form.CONFIG, form.WEIGHTS, form.load) for form in (saelens, sparsify, dictionary_learning))
PICKLES = {".pt", ".pth", ".bin", ".pkl", ".pickle", ".ckpt", ".npz"}


def load_sae(folder: Path, device: torch.device, dtype: torch.dtype) -> Sae:
    """The SAE in `folder`, its matrix in `dtype` on `device`; raises `DiffError`."""
    if not folder.is_dir():
        raise DiffError("missing", f"There is no SAE folder {folder}: correct the path, or copy the SAE there.")
    placement = Placement(device, dtype)
    for form in FORMATS:
        if _is_of(form, folder):
            return form.load(folder, placement)
    installed = installed_formats()
    for name, form in installed.items():
        if _is_of(form, folder):
            return load_installed(name, form, folder, placement)
    if pickles := sorted(path.name for path in folder.iterdir() if path.suffix.lower() in PICKLES):
        message = (
            f"The SAE in {folder} is a pickle ({pickles[0]}), which can run code as it is read:"
            " save it as safetensors, or with dictionary_learning as ae.pt."
        )
        raise DiffError("unsafe_format", message)
    known = ", ".join(f"{form.config} with {form.weights}" for form in (*FORMATS, *installed.values()))
    raise invalid(folder, f"it holds no weights that are known; name a folder with one of: {known}")


def _is_of(form: Format, folder: Path) -> bool:
    """Raises `DiffError` where it has the weights and not the config."""
    if not (folder / form.weights).is_file():
        return False
    if not (folder / form.config).is_file():
        raise invalid(folder, f"{form.config} is missing beside {form.weights}; copy the folder again")
    return True
