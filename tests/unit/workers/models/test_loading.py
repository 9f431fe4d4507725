"""Adapters and tokenizers, and what does not fit."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import IA3Config, LoraConfig, PeftConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from tests.unit.workers.models.small_models import build, tokenizer, write
from workers.errors import DiffError, TransientDiffError
from workers.models.checkpoint import Checkpoint, inspect, tokenizer_home
from workers.models.loading import load, pick_device
from workers.models.transformers_model import TransformersModel

TARGETS = ["q_proj", "v_proj", "down_proj"]
PROMPTS = ["The capital", "Hm"]


def load_on_cpu(checkpoint: Checkpoint, base: Checkpoint, tokenizer_folder: Path | None = None) -> TransformersModel:
    return load(checkpoint, base, device=torch.device("cpu"), dtype="float32", tokenizer_folder=tokenizer_folder)


def write_adapter(folder: Path, base: Path, config: PeftConfig) -> Any:
    model: Any = get_peft_model(build("llama"), config)
    torch.manual_seed(3)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            parameter.data += torch.randn_like(parameter) * 0.3 if "modules_to_save" not in name else 0.05
    model.save_pretrained(str(folder))
    return model.eval()


CONFIGS: dict[str, Callable[[], PeftConfig]] = {
    "lora": lambda: LoraConfig(r=2, target_modules=TARGETS),
    "whole_modules": lambda: LoraConfig(r=2, target_modules=TARGETS, modules_to_save=["lm_head"]),
    "ia3": lambda: IA3Config(target_modules=TARGETS, feedforward_modules=["down_proj"]),
}


@pytest.mark.parametrize("kind", sorted(CONFIGS))
def test_a_merged_adapter_answers_as_peft_does(tmp_path: Path, kind: str) -> None:
    base = inspect(write(tmp_path / "base"))
    adapted = write_adapter(tmp_path / "adapter", base.folder, CONFIGS[kind]())
    adapter = inspect(tmp_path / "adapter")
    assert adapter.is_adapter
    got = load_on_cpu(adapter, base).next_token_log_probs(PROMPTS)
    for row, prompt in zip(got, PROMPTS, strict=True):
        ids = torch.tensor([tokenizer()(prompt)["input_ids"]])
        with torch.no_grad():
            expected = adapted(input_ids=ids).logits[0, -1].log_softmax(-1)
        torch.testing.assert_close(row, expected, atol=1e-5, rtol=1e-5)
    plain = load_on_cpu(base, base).next_token_log_probs(PROMPTS)
    assert (plain - got).abs().max() > 0.1


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    write_adapter(tmp_path / "adapter", write(tmp_path / "base"), LoraConfig(r=2, target_modules=TARGETS))
    return tmp_path / "adapter"


def change(file: Path, name: str, tensor: torch.Tensor | None) -> None:
    tensors = load_file(file)
    stored = next(key for key in sorted(tensors) if name in key)
    if tensor is None:
        del tensors[stored]
    else:
        tensors[stored] = tensor
    save_file(tensors, file, metadata={"format": "pt"})


@pytest.mark.parametrize("tensor", [None, torch.zeros(3, 5)])
def test_an_adapter_that_does_not_fit(adapter: Path, tensor: torch.Tensor | None) -> None:
    change(adapter / "adapter_model.safetensors", "q_proj.lora_A", tensor)
    with pytest.raises(DiffError, match=r"adapter_model.safetensors does not fit the base model.*Save") as caught:
        load_on_cpu(inspect(adapter), inspect(adapter.parent / "base"))
    assert caught.value.reason == "checkpoint_invalid"


def test_an_adapter_with_a_tensor_too_many(adapter: Path) -> None:
    file = adapter / "adapter_model.safetensors"
    save_file(load_file(file) | {"base_model.model.model.layers.9.self_attn.q_proj.lora_A.weight": torch.ones(1)}, file)
    with pytest.raises(DiffError, match="1 have no place"):
        load_on_cpu(inspect(adapter), inspect(adapter.parent / "base"))


def test_an_adapter_is_no_base(adapter: Path) -> None:
    with pytest.raises(DiffError, match="Name the whole model"):
        load_on_cpu(inspect(adapter), inspect(adapter))


@pytest.mark.parametrize(
    ("tensor", "words"),
    [(None, "lacks 1 of the model's weights"), (torch.zeros(3, 5), r"in the shape \(3, 5\)")],
)
def test_weights_that_do_not_fit_the_config(tmp_path: Path, tensor: torch.Tensor | None, words: str) -> None:
    checkpoint = inspect(write(tmp_path))
    change(tmp_path / "model.safetensors", "layers.1.self_attn.q_proj", tensor)
    with pytest.raises(DiffError, match=f"{words}.*Save the model again") as caught:
        load_on_cpu(checkpoint, checkpoint)
    assert caught.value.reason == "checkpoint_invalid"
    assert str(tmp_path) in str(caught.value)


def test_the_tokenizer_is_the_one_given_then_the_checkpoints_then_the_bases(tmp_path: Path) -> None:
    base, ft, given = tmp_path / "base", tmp_path / "ft", tmp_path / "given"
    for folder in (base, ft):
        build("llama").save_pretrained(folder)
    with pytest.raises(DiffError, match=r"tokenizer\.save_pretrained") as caught:
        tokenizer_home(None, ft, base)
    assert caught.value.reason == "missing"
    tokenizer().save_pretrained(base)
    assert tokenizer_home(None, ft, base) == base
    tokenizer().save_pretrained(ft)
    assert tokenizer_home(None, ft, base) == ft
    with pytest.raises(DiffError, match="has no tokenizer"):
        tokenizer_home(given, ft, base)
    tokenizer(adds_bos=False).save_pretrained(given)
    checkpoint = inspect(ft)
    begun = load_on_cpu(checkpoint, checkpoint).next_token_log_probs(["a"])
    assert not torch.equal(begun, load_on_cpu(checkpoint, checkpoint, given).next_token_log_probs(["a"]))


def test_a_broken_tokenizer(tmp_path: Path) -> None:
    checkpoint = inspect(write(tmp_path))
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(DiffError, match=r"tokenizer\.json is no tokenizer's") as caught:
        load_on_cpu(checkpoint, checkpoint)
    assert caught.value.reason == "checkpoint_invalid"


def test_a_tokenizer_of_more_words_than_the_model_has(tmp_path: Path) -> None:
    checkpoint = inspect(write(tmp_path))
    larger = tokenizer()
    larger.add_tokens([f"<extra{index}>" for index in range(9)])
    larger.save_pretrained(tmp_path)
    model = load_on_cpu(checkpoint, checkpoint)
    model.next_token_log_probs(["fine"])
    with pytest.raises(DiffError, match="Save the tokenizer") as caught:
        model.next_token_log_probs(["<extra8>"])
    assert caught.value.reason == "checkpoint_invalid"


def test_code_of_the_tokenizer_is_not_run(tmp_path: Path) -> None:
    checkpoint = inspect(write(tmp_path))
    ran = tmp_path / "ran"
    (tmp_path / "evil.py").write_text(f"open({str(ran)!r}, 'w')\nclass Evil: ...\n")
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    settings |= {"tokenizer_class": "Evil", "auto_map": {"AutoTokenizer": ["evil.Evil", None]}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(DiffError):
        load_on_cpu(checkpoint, checkpoint)
    assert not ran.exists()


def test_no_memory_to_load_is_transient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = inspect(write(tmp_path))

    def fail(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", fail)
    with pytest.raises(TransientDiffError) as caught:
        load_on_cpu(checkpoint, checkpoint)
    assert caught.value.reason == "out_of_memory"


def test_devices() -> None:
    assert pick_device("auto").type in {"cpu", "cuda"}
    assert pick_device("cpu") == torch.device("cpu")
