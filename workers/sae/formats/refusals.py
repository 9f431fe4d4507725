"""Why a folder is not read as an SAE: one sentence each, with the folder and the remedy."""

from pathlib import Path

from workers.errors import DiffError

MAX_QUOTED = 64


def invalid(folder: Path, what: str) -> DiffError:
    """It is damaged, or not what it says it is."""
    return DiffError("sae_invalid", f"The SAE in {folder} is not valid: {what}.")


def unsupported(folder: Path, what: str) -> DiffError:
    """It may well be a good SAE, but not one whose features can be measured here."""
    return DiffError("sae_unsupported", f"The SAE in {folder} cannot be used: {what}.")


def quoted(value: object) -> str:
    """What a config says, for a message: it may be long and hold anything."""
    text = repr(value)
    return text if len(text) <= MAX_QUOTED else f"{text[:MAX_QUOTED]}…"
