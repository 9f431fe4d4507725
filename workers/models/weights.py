"""The weight files of a checkpoint: safetensors only, whole, and inside its folder."""

import math
from pathlib import Path

import msgspec
from msgspec import Struct
from safetensors import SafetensorError, safe_open

from workers.errors import DiffError

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
ADAPTER = "adapter_model.safetensors"
MAX_INDEX_BYTES = 64 * 2**20
PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"}
TRAINING_STATE = {"optimizer.pt", "scheduler.pt", "scaler.pt", "training_args.bin"}


class Index(Struct, frozen=True):
    """The shards' table of contents."""

    weight_map: dict[str, str]


def model_weights(folder: Path) -> dict[Path, frozenset[str]]:
    """File → the tensors that must be in it, in order of name; empty is: any."""
    if (folder / SINGLE).is_file():
        return {folder / SINGLE: frozenset()}
    if not (folder / INDEX).is_file():
        raise no_weights(folder, SINGLE)
    try:
        index = msgspec.json.decode(read_bounded(folder / INDEX, MAX_INDEX_BYTES), type=Index)
    except (ValueError, RecursionError) as error:
        raise invalid(folder / INDEX, f"is no table of shards ({error})") from error
    shards: dict[str, set[str]] = {}
    for tensor, shard in index.weight_map.items():
        shards.setdefault(shard, set()).add(tensor)
    if not shards:
        raise invalid(folder / INDEX, "names no shards")
    for shard in shards:
        if Path(shard).name != shard or "\\" in shard or "\0" in shard or not shard.endswith(".safetensors"):
            raise DiffError(
                "unsafe_format",
                f"{folder / INDEX} names the shard {shard!r}, which is no safetensors file in its own folder. "
                "Save the model again with save_pretrained.",
            )
    return {folder / shard: frozenset(shards[shard]) for shard in sorted(shards)}


def no_weights(folder: Path, wanted: str) -> DiffError:
    """Why `folder`, which has no `wanted`, cannot be read."""
    pickles = sorted(
        path.name for path in folder.iterdir() if path.suffix.lower() in PICKLES and path.name not in TRAINING_STATE
    )
    if pickles:
        return DiffError(
            "unsafe_format",
            f"{folder / pickles[0]} is a pickle, which may run code as it is read: "
            "save it with save_pretrained(safe_serialization=True).",
        )
    return invalid(folder / wanted, "is not there")


def count_parameters(path: Path, expected: frozenset[str]) -> int:
    """How many numbers are in the file, whose header is checked: each tensor has all its bytes."""
    try:
        if not path.is_file():
            raise invalid(path, "is not there")
        with safe_open(path, "pt") as file:
            names = set(file.keys())
            parameters = int(sum(math.prod(file.get_slice(name).get_shape()) for name in names))
    except (SafetensorError, OSError) as error:
        raise invalid(path, f"is damaged or was cut off ({error})") from error
    if absent := sorted(expected - names):
        raise invalid(path, f"lacks {len(absent)} tensors that the index places in it, the first is {absent[0]!r}")
    return parameters


def read_bounded(path: Path, max_bytes: int) -> bytes:
    """The file's content, which may not be longer."""
    try:
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
    except OSError as error:
        raise invalid(path, f"cannot be read ({error.strerror})") from error
    if len(content) > max_bytes:
        raise invalid(path, f"is longer than {max_bytes} bytes")
    return content


def invalid(path: Path, what: str) -> DiffError:
    """The sentence for a file that is not what it should be."""
    return DiffError(
        "checkpoint_invalid", f"{path} {what}. Save the model again with save_pretrained, and copy it whole."
    )
