"""Measurements of no model, and whether two are the same to the last bit."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from tests.unit.workers.lake.rows import some_rows
from workers.base_cache.key import BaseKey
from workers.calibration.answers import Answer
from workers.lake.tables import BehaviourRow
from workers.measurement import Measurement
from workers.sae.measure import LayerSums

FEATURES = 300


def key(**changes: Any) -> BaseKey:
    values: dict[str, Any] = {
        "base_sha": "aa",
        "tokenizer_sha": "bb",
        "probes_sha": "cc",
        "sae_shas": ("dd", "ee"),
        "dtype": "float32",
        "device": "cpu",
        "tokens_per_batch": 4096,
        "code_version": "0.1.0",
    }
    return BaseKey(**(values | changes))


def layer(number: int, seed: int = 0, features: int = FEATURES) -> LayerSums:
    rng = np.random.default_rng(seed + number)
    return LayerSums(
        layer=number,
        hook=f"blocks.{number}.hook_resid_post",
        sae_sha=f"{number:064x}",
        tokens=int(rng.integers(1_000_000)),
        sums=rng.exponential(size=features),
        counts=rng.integers(0, 2**62, features),
        maxima=rng.exponential(size=features).astype(np.float32),
        fvu=float("nan") if number == 0 else float(rng.random()),
    )


def measurement(seed: int = 0) -> Measurement:
    return Measurement(
        behaviour=tuple(some_rows(BehaviourRow, 40, seed)),
        answers=tuple(some_rows(Answer, 20, seed)),
        layers=tuple(layer(number, seed) for number in range(3)),
    )


def bits(measured: Measurement) -> bytes:
    """Equal for what is equal in every bit and type, NaN and -0.0 included."""
    return msgspec.msgpack.encode(
        [
            [msgspec.structs.astuple(row) for row in measured.behaviour],
            [msgspec.structs.astuple(row) for row in measured.answers],
            [
                (
                    found.layer,
                    found.hook,
                    found.sae_sha,
                    found.tokens,
                    found.fvu,
                    [_array(each) for each in arrays(found)],
                )
                for found in measured.layers
            ],
        ]
    )


def _array(array: Any) -> tuple[str, Any, bytes]:
    return str(array.dtype), array.shape, array.tobytes()


def arrays(found: LayerSums) -> tuple[Any, Any, Any]:
    return found.sums, found.counts, found.maxima


def folder(lake: Path, asked: BaseKey) -> Path:
    return lake / "base_cache" / "v=1" / asked.digest


def contents(path: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in path.iterdir()}
