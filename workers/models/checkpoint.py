"""What a checkpoint is, found out without loading it."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from transformers import AutoConfig

from workers.errors import DiffError
from workers.models.language_model import Done
from workers.models.patterns import endless
from workers.models.weights import ADAPTER, count_parameters, invalid, model_weights, no_weights, read_bounded

CONFIG = "config.json"
ADAPTER_CONFIG = "adapter_config.json"
MAX_CONFIG_BYTES = 2**20
HASH_BLOCK_BYTES = 8 * 2**20
MERGEABLE = ("IA3", "LOHA", "LOKR", "LORA")
TOKENIZER_FILES = (
    "added_tokens.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "special_tokens_map.json",
    "spiece.model",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
)
VOCABULARIES = (
    "sentencepiece.bpe.model",
    "spiece.model",
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
)


class Checkpoint(Struct, frozen=True, kw_only=True):
    """A model that can be loaded. An adapter has the shape of its base: its own four fields are empty."""

    folder: Path
    architecture: str = ""
    vocab_size: int = 0
    hidden_size: int = 0
    layers: int = 0
    parameters: int
    """in the weight files: tied weights count once, an adapter's are its own"""
    is_adapter: bool
    sha: str
    """SHA-256 of the configuration and all weight files"""


def inspect(folder: Path, done: Done = lambda _: None) -> Checkpoint:
    """Check that `folder` holds a model that may be loaded; `done` hears of the hashing. Raises DiffError."""
    if (folder / ADAPTER_CONFIG).is_file():
        return _inspect_adapter(folder, done)
    fields = _read_config(folder / CONFIG)
    weights = model_weights(folder)
    parameters = sum(count_parameters(path, expected) for path, expected in weights.items())
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        text = config.get_text_config()
        vocab_size, hidden_size, layers = int(text.vocab_size), int(text.hidden_size), int(text.num_hidden_layers)
    except Exception as error:  # transformers raises whatever a field of the file led it to
        raise invalid(folder / CONFIG, f"describes no model that transformers knows ({error})") from error
    architectures = fields.get("architectures")
    named = architectures[0] if isinstance(architectures, list) and architectures else config.model_type
    return Checkpoint(
        folder=folder,
        architecture=str(named),
        vocab_size=vocab_size,
        hidden_size=hidden_size,
        layers=layers,
        parameters=parameters,
        is_adapter=False,
        sha=_sha([folder / CONFIG, *weights], done),
    )


def check_pair(base: Checkpoint, ft: Checkpoint) -> None:
    """Raise DiffError where the two cannot be compared."""
    if base.is_adapter:
        raise DiffError(
            "checkpoint_invalid",
            f"{base.folder} is an adapter and cannot be the base. Name the whole model it was trained on.",
        )
    if ft.is_adapter:
        return
    for what, ours, theirs in (
        ("architecture", base.architecture, ft.architecture),
        ("hidden size", base.hidden_size, ft.hidden_size),
        ("number of layers", base.layers, ft.layers),
        ("vocabulary", base.vocab_size, ft.vocab_size),
    ):
        if ours != theirs:
            raise DiffError(
                "models_differ",
                f"The {what} of {ft.folder} is {theirs}, that of the base {base.folder} is {ours}: "
                "name the base that the run was trained from.",
            )


def has_tokenizer(folder: Path) -> bool:
    """Whether a tokenizer's vocabulary lies in it."""
    return any((folder / name).is_file() for name in VOCABULARIES)


def tokenizer_home(given: Path | None, ft: Path, base: Path) -> Path:
    """The folder whose tokenizer both models are asked with: the one given, else the checkpoint's, else the base's."""
    if given is not None:
        if not has_tokenizer(given):
            raise DiffError("missing", f"{given} has no tokenizer in it. Save it there with tokenizer.save_pretrained.")
        return given
    for folder in (ft, base):
        if has_tokenizer(folder):
            return folder
    raise DiffError(
        "missing",
        f"Neither {ft} nor {base} has a tokenizer. Save it beside the checkpoint with tokenizer.save_pretrained, "
        "or name one in the run.",
    )


def tokenizer_sha(folder: Path) -> str:
    """SHA-256 of the tokenizer's files."""
    if not has_tokenizer(folder):
        raise DiffError("missing", f"{folder} has no tokenizer in it. Save it there with tokenizer.save_pretrained.")
    return _sha([folder / name for name in TOKENIZER_FILES if (folder / name).is_file()], lambda _: None)


def _inspect_adapter(folder: Path, done: Done) -> Checkpoint:
    fields = _read_config(folder / ADAPTER_CONFIG)
    kind = fields.get("peft_type")
    if kind not in MERGEABLE:
        raise invalid(
            folder / ADAPTER_CONFIG,
            f"is of the kind {kind!r}, which cannot be merged here (only {', '.join(MERGEABLE)})",
        )
    if fields.get("megatron_config"):
        # It names a Python module that peft would import.
        raise DiffError(
            "unsafe_format",
            f"{folder / ADAPTER_CONFIG} has a megatron_config, which may run code. "
            "Merge the adapter and save the whole model.",
        )
    if (pattern := endless(fields)) is not None:
        raise DiffError(
            "unsafe_format",
            f"{folder / ADAPTER_CONFIG} has the pattern {pattern[:100]!r}, which could take for ever to match. "
            "Name the modules in a list, or merge the adapter and save the whole model.",
        )
    if (folder / "model.safetensors").is_file() or (folder / "model.safetensors.index.json").is_file():
        raise invalid(folder / ADAPTER_CONFIG, "lies beside a whole model: leave only one of the two in the folder")
    if not (folder / ADAPTER).is_file():
        raise no_weights(folder, ADAPTER)
    parameters = count_parameters(folder / ADAPTER, frozenset())
    sha = _sha([folder / ADAPTER_CONFIG, folder / ADAPTER], done)
    return Checkpoint(folder=folder, parameters=parameters, is_adapter=True, sha=sha)


def _read_config(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise invalid(path, "is not there")
    try:
        fields = msgspec.json.decode(read_bounded(path, MAX_CONFIG_BYTES), type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise invalid(path, f"is no JSON object ({error})") from error
    if fields.get("auto_map"):
        raise DiffError(
            "unsafe_format",
            f"{path} has an auto_map: the model needs code of its own, which is never run here. "
            "Save it as an architecture that transformers has.",
        )
    return fields


def _sha(paths: Sequence[Path], done: Done) -> str:
    digest = hashlib.sha256()
    sizes = {path: path.stat().st_size for path in sorted(paths, key=lambda path: path.name)}
    total = max(sum(sizes.values()), 1)
    read = 0
    for path, size in sizes.items():
        # The name and the size keep what one file ends with from passing for what the next begins with.
        digest.update(f"{path.name}\0{size}\0".encode())
        for block in _blocks(path):
            digest.update(block)
            read += len(block)
            done(min(read / total, 1.0))
    return digest.hexdigest()


def _blocks(path: Path) -> Iterable[bytes]:
    with path.open("rb") as file:
        while block := file.read(HASH_BLOCK_BYTES):
            yield block
