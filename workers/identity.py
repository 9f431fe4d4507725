"""What makes two diffs the same one: everything that can change a figure."""

import hashlib
from importlib.metadata import version

import msgspec
from msgspec import Struct, structs

from workers.settings import DiffSettings, DType

_MEASURES = 1
"""counted up with every change to what a measurement gives"""
CODE_VERSION = f"streakline-measures {_MEASURES}, torch {version('torch')}, transformers {version('transformers')}"
"""that of the code that measures, as stored; another one measures the base again"""


class Method(Struct, frozen=True, kw_only=True):
    """How a model is measured, whichever it is."""

    probes_sha: str
    tokenizer_sha: str
    sae_shas: tuple[str, ...]
    """by layer"""
    dtype: DType
    device_type: str
    """its arithmetic differs in the last digits"""
    tokens_per_batch: int
    """padding does, too"""
    code_version: str = CODE_VERSION


def config_hash(method: Method, settings: DiffSettings) -> str:
    """Of the method and of where the lines are drawn; 16 hexadecimal digits."""
    drawn = (
        settings.low_confidence,
        settings.feature_min_tokens,
        settings.feature_min_relative,
        settings.feature_min_absolute,
    )
    return hashlib.sha256(msgspec.json.encode((structs.astuple(method), drawn))).hexdigest()[:16]
