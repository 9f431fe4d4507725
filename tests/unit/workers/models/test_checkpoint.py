"""What is known of a checkpoint before it is loaded, and which ones are refused."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.unit.workers.models.small_models import FAMILIES, LAYERS, VOCABULARY, WIDTH, build, tokenizer, write
from workers.errors import DiffError
from workers.models.checkpoint import check_pair, inspect, tokenizer_sha

Spoil = Callable[[Path], object]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_shape_is_known(tmp_path: Path, family: str) -> None:
    model = build(family)
    model.save_pretrained(tmp_path)
    found = inspect(tmp_path)
    assert (found.vocab_size, found.hidden_size, found.layers) == (VOCABULARY, WIDTH, LAYERS)
    assert found.architecture == type(model).__name__
    assert found.parameters == model.num_parameters()
    assert not found.is_adapter


def test_the_sha_is_of_the_content(tmp_path: Path) -> None:
    shares: list[float] = []
    one = inspect(write(tmp_path / "one"), shares.append)
    assert shares[-1] == 1
    assert inspect(tmp_path / "one").sha == one.sha == inspect(write(tmp_path / "two")).sha
    assert inspect(write(tmp_path / "three", seed=1)).sha != one.sha


def test_shards_are_one_checkpoint(tmp_path: Path) -> None:
    build("llama").save_pretrained(tmp_path, max_shard_size="10KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    first = inspect(tmp_path)
    assert first.parameters == build("llama").num_parameters()
    with (tmp_path / "config.json").open("a") as file:
        file.write("\n")
    assert inspect(tmp_path).sha != first.sha


def edit(name: str, **fields: object) -> Spoil:
    def spoil(folder: Path) -> None:
        content: dict[str, Any] = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(content | fields))

    return spoil


def rewrite(name: str, content: bytes) -> Spoil:
    return lambda folder: (folder / name).write_bytes(content)


def only_pickle(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({}))


def shorten(folder: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:-100])


def index(content: object) -> Spoil:
    def spoil(folder: Path) -> None:
        (folder / "model.safetensors").rename(folder / "part.safetensors")
        (folder / "model.safetensors.index.json").write_text(json.dumps(content))

    return spoil


def rewrite_index(content: bytes) -> Spoil:
    def spoil(folder: Path) -> None:
        index({})(folder)
        rewrite("model.safetensors.index.json", content)(folder)

    return spoil


def adapter(**fields: object) -> Spoil:
    def spoil(folder: Path) -> None:
        (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
        (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"} | fields))

    return spoil


def pickled_adapter(folder: Path) -> None:
    adapter()(folder)
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")


REFUSED: dict[str, tuple[Spoil, str, str]] = {
    "no config": (lambda folder: (folder / "config.json").unlink(), "checkpoint_invalid", "config.json is not there"),
    "config is no JSON": (rewrite("config.json", b"{"), "checkpoint_invalid", "config.json is no JSON object"),
    "config is a list": (rewrite("config.json", b"[]"), "checkpoint_invalid", "config.json is no JSON object"),
    "config is no text": (
        rewrite("config.json", b'{"a":"\xff"}'),
        "checkpoint_invalid",
        "config.json is no JSON object",
    ),
    "config is deep": (
        rewrite("config.json", b'{"a":' + b"[" * 500_000),
        "checkpoint_invalid",
        "config.json is no JSON",
    ),
    "config is huge": (rewrite("config.json", b" " * (2**20 + 1)), "checkpoint_invalid", "config.json is longer than"),
    "own code": (
        edit("config.json", auto_map={"AutoModelForCausalLM": "evil.Evil"}),
        "unsafe_format",
        "config.json has an auto_map",
    ),
    "unknown type": (edit("config.json", model_type="evil"), "checkpoint_invalid", "config.json describes no model"),
    "nonsense": (edit("config.json", hidden_size="wide"), "checkpoint_invalid", "config.json describes no model"),
    "no weights": (
        lambda folder: (folder / "model.safetensors").unlink(),
        "checkpoint_invalid",
        "model.safetensors is not there",
    ),
    "pickle": (only_pickle, "unsafe_format", "pytorch_model.bin is a pickle"),
    "cut off": (shorten, "checkpoint_invalid", "model.safetensors is damaged or was cut off"),
    "empty": (rewrite("model.safetensors", b""), "checkpoint_invalid", "model.safetensors is damaged or was cut off"),
    "long header": (
        rewrite("model.safetensors", b"\xff" * 64),
        "checkpoint_invalid",
        "model.safetensors is damaged or was cut off",
    ),
    "index is no JSON": (index([]), "checkpoint_invalid", "index.json is no table of shards"),
    "index is deep": (
        rewrite_index(b'{"weight_map":{},"x":' + b"[" * 500_000),
        "checkpoint_invalid",
        "index.json is no table of shards",
    ),
    "index is empty": (index({"weight_map": {}}), "checkpoint_invalid", "index.json names no shards"),
    "shard outside": (index({"weight_map": {"a": "../x.safetensors"}}), "unsafe_format", "'../x.safetensors'"),
    "shard at the root": (index({"weight_map": {"a": "/etc/x.safetensors"}}), "unsafe_format", "'/etc/x.safetensors'"),
    "shard is a pickle": (index({"weight_map": {"a": "part.bin"}}), "unsafe_format", "'part.bin'"),
    "shard is missing": (
        index({"weight_map": {"a": "gone.safetensors"}}),
        "checkpoint_invalid",
        "gone.safetensors is not there",
    ),
    "tensor is missing": (index({"weight_map": {"a": "part.safetensors"}}), "checkpoint_invalid", "lacks 1 tensors"),
    "prompt tuning": (adapter(peft_type="PROMPT_TUNING"), "checkpoint_invalid", "cannot be merged here"),
    "imports a module": (adapter(megatron_config={"a": 1}), "unsafe_format", "may run code"),
    "endless pattern": (adapter(target_modules=r"(\w+\.?)+!"), "unsafe_format", "could take for ever"),
    "adapter with code": (adapter(auto_map={"a": "b"}), "unsafe_format", "adapter_config.json has an auto_map"),
    "adapter is a pickle": (pickled_adapter, "unsafe_format", "adapter_model.bin is a pickle"),
    "adapter beside a model": (
        lambda folder: (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}'),
        "checkpoint_invalid",
        "lies beside a whole model",
    ),
}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_refused(tmp_path: Path, name: str) -> None:
    spoil, reason, words = REFUSED[name]
    spoil(write(tmp_path))
    with pytest.raises(DiffError) as caught:
        inspect(tmp_path)
    message = str(caught.value)
    assert caught.value.reason == reason
    assert words in message
    assert str(tmp_path) in message
    assert "ave " in message.partition(words)[2] or "Merge" in message, "what to do about it"


def test_a_pickle_says_how_to_save_it(tmp_path: Path) -> None:
    only_pickle(write(tmp_path))
    with pytest.raises(DiffError, match=r"save it with save_pretrained\(safe_serialization=True\)"):
        inspect(tmp_path)


def test_the_state_of_the_optimizer_is_no_model(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "optimizer.pt").write_bytes(b"")
    inspect(tmp_path)


@pytest.mark.parametrize(
    ("field", "value", "word"),
    [
        ("architecture", "GPT2LMHeadModel", "architecture"),
        ("hidden_size", 8, "hidden size"),
        ("layers", 9, "number of layers"),
        ("vocab_size", 3, "vocabulary"),
    ],
)
def test_models_that_differ(tmp_path: Path, field: str, value: object, word: str) -> None:
    base = inspect(write(tmp_path))
    check_pair(base, base)
    with pytest.raises(DiffError, match=rf"The {word} of .*: name the base that the run was trained from") as caught:
        check_pair(base, replace(base, **{field: value}))
    assert caught.value.reason == "models_differ"


def test_the_tokenizer_has_a_sha(tmp_path: Path) -> None:
    with pytest.raises(DiffError, match=r"Save it there with tokenizer\.save_pretrained"):
        tokenizer_sha(tmp_path)
    write(tmp_path)
    first = tokenizer_sha(tmp_path)
    assert first == tokenizer_sha(tmp_path)
    tokenizer(adds_bos=False).save_pretrained(tmp_path)
    assert tokenizer_sha(tmp_path) != first
