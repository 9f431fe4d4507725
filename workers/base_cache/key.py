"""What a kept measurement is of: whatever may change a figure of it."""

import hashlib

import msgspec
from msgspec import Struct


class BaseKey(Struct, frozen=True, kw_only=True):
    """One base, and how it is measured."""

    base_sha: str
    tokenizer_sha: str
    probes_sha: str
    sae_shas: tuple[str, ...]
    """by layer"""
    dtype: str
    device: str
    """cpu, or the GPU by name: their sums differ in the last digits"""
    tokens_per_batch: int
    code_version: str

    @property
    def digest(self) -> str:
        """Its name: the same for equal keys; 32 hexadecimal digits."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:32]
