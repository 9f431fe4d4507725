"""Names that libraries have for the residual stream after a layer."""

import re
from enum import Enum
from pathlib import Path

from workers.sae.formats.refusals import quoted, unsupported


class HookNames(Enum):
    """A library's way to name it, for layer 8."""

    SAELENS = "blocks.8.hook_resid_post"
    SPARSIFY = "layers.8"
    DICTIONARY_LEARNING = "resid_post_layer_8"


PATTERNS = {
    HookNames.SAELENS: re.compile(r"blocks\.([0-9]{1,5})\.hook_resid_post"),
    HookNames.SPARSIFY: re.compile(r"(?:model\.)?layers\.([0-9]{1,5})"),
    HookNames.DICTIONARY_LEARNING: re.compile(r"resid_post_layer_([0-9]{1,5})"),
}


def layer_of(folder: Path, hook: str | None, names: HookNames) -> int:
    """Raises `DiffError` where `hook` is another place in the model, or none is named."""
    if hook is None:
        raise unsupported(folder, f"its config does not say where it was trained; add the hook, as in {names.value}")
    match = PATTERNS[names].fullmatch(hook)
    if match is None:
        what = (
            f"it was trained at {quoted(hook)}, and only the residual stream after a layer is measured;"
            f" name one that was trained there, as in {names.value}"
        )
        raise unsupported(folder, what)
    return int(match[1])
