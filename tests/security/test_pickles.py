"""What lies in a checkpoint or an SAE is data: whatever would run as it is read leaves no mark."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model

from tests.small_diffs import write_checkpoint, write_sae
from tests.unit.workers.models.small_models import build
from workers.errors import DiffError
from workers.models.checkpoint import inspect
from workers.models.loading import load
from workers.sae.formats import load_sae

CPU = torch.device("cpu")


class Marks:
    """A pickle that makes a file."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return (Path.touch, (self._mark,))


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """What must not be there in the end; a module of that would make it is in the working folder."""
    return tmp_path / "MARK"


def plant(folder: Path, mark: Path, *names: str) -> None:
    """Such pickles, as `torch.save` and as Python write them, and a module that does the same when it is imported."""
    for name in names:
        torch.save({"weight": Marks(mark)}, folder / name)
    (folder / "evil.py").write_text(f"from pathlib import Path\nPath({str(mark)!r}).touch()\nclass Evil: pass\n")


def edit(folder: Path, name: str, **fields: Any) -> None:
    path = folder / name
    path.write_text(json.dumps((json.loads(path.read_text()) if path.exists() else {}) | fields))


def write_adapter(folder: Path) -> Path:
    model: Any = build("llama")
    lora = LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM")
    get_peft_model(model, lora).save_pretrained(str(folder))
    return folder


def raw_pickle(folder: Path, mark: Path, name: str) -> None:
    (folder / name).write_bytes(pickle.dumps(Marks(mark)))


Spoil = Callable[[Path, Path], object]

KERNELS = dict.fromkeys(
    ("attn_implementation", "_attn_implementation", "experts_implementation", "_experts_implementation"), "evil/kernel"
)
BESIDE = ("pytorch_model.bin", "optimizer.pt", "training_args.bin", "rng_state.pth", "adapter_model.bin", "vocab.pkl")
TEMPLATE = "{{ cycler.__init__.__globals__.os.system('touch ' ~ mark) }}{% for x in range(10**12) %}{% endfor %}"


def only(name: str, *, write: Callable[[Path, Path, str], object] = plant) -> Spoil:
    """Nothing but a pickle of that name."""

    def spoil(folder: Path, mark: Path) -> None:
        for weights in folder.glob("*.safetensors"):
            weights.unlink()
        write(folder, mark, name)

    return spoil


def with_template(folder: Path, mark: Path) -> None:
    (folder / "chat_template.jinja").write_text(f"{{% set mark = '{mark}' %}}{TEMPLATE}")


MODELS: dict[str, tuple[Spoil, str | None]] = {
    "pickles beside it": (lambda folder, mark: plant(folder, mark, *BESIDE), None),
    "only a pickle": (only("pytorch_model.bin"), "pytorch_model.bin is a pickle"),
    "a pickle by another name": (only("model.safetensors"), "model.safetensors is damaged"),
    "a bare pickle by another name": (only("model.safetensors", write=raw_pickle), "model.safetensors is damaged"),
    "code in its config": (
        lambda folder, _: edit(folder, "config.json", auto_map={"AutoModelForCausalLM": "evil.Evil"}),
        "has an auto_map",
    ),
    "code in its text config": (
        lambda folder, _: edit(folder, "config.json", text_config={"auto_map": {"AutoConfig": "evil.Evil"}}),
        "describes no model that transformers knows",
    ),
    "a type that is a module": (
        lambda folder, _: edit(folder, "config.json", model_type="evil"),
        "describes no model that transformers knows",
    ),
    "code in its tokenizer": (
        lambda folder, _: edit(folder, "tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.Evil", "evil.Evil"]}),
        None,
    ),
    "a tokenizer that is a module": (
        lambda folder, _: edit(folder, "tokenizer_config.json", tokenizer_class="evil.Evil"),
        None,
    ),
    "a template that runs": (with_template, None),
    "weights that are packed by a plugin": (
        lambda folder, _: edit(folder, "config.json", quantization_config={"quant_method": "evil"}),
        None,
    ),
    "a kernel of a hub": (lambda folder, _: edit(folder, "config.json", **KERNELS), None),
    "a way to generate of its own": (
        lambda folder, _: edit(folder, "generation_config.json", custom_generate=str(folder)),
        None,
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_runs_nothing(name: str, tmp_path: Path, mark: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_checkpoint(tmp_path / "model")
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    plant(folder, mark)
    spoil, refusal = MODELS[name]
    spoil(folder, mark)
    if refusal is None:
        model = load(inspect(folder), inspect(folder), device=CPU, dtype="float32")
        assert model.generate(["x"], 2, lambda _: None)
    else:
        with pytest.raises(DiffError, match=refusal):
            load(inspect(folder), inspect(folder), device=CPU, dtype="float32")
    assert not mark.exists()


def reads_a_cache(method: str, field: str) -> Spoil:
    """Of what a method of initialisation found out before; peft reads such with a pickle."""

    def spoil(folder: Path, mark: Path) -> None:
        plant(folder, mark, "cache.pt")
        files = {name: str(folder / "cache.pt") for name in ("cache_file", "covariance_file")}
        edit(folder, "adapter_config.json", init_lora_weights=method, **{field: files})

    return spoil


ADAPTERS: dict[str, tuple[Spoil, str | None]] = {
    "pickles beside it": (lambda folder, mark: plant(folder, mark, "adapter_model.bin", "optimizer.pt"), None),
    "only a pickle": (only("adapter_model.bin"), "adapter_model.bin is a pickle"),
    "a pickle by another name": (only("adapter_model.safetensors"), "adapter_model.safetensors is damaged"),
    "a module that is imported": (
        lambda folder, _: edit(folder, "adapter_config.json", megatron_core="evil", megatron_config={"a": 1}),
        "may run code",
    ),
    "a class that is imported": (
        lambda folder, _: edit(
            folder, "adapter_config.json", auto_mapping={"parent_library": "evil", "base_model_class": "Evil"}
        ),
        None,
    ),
    "a cache of covariances": (reads_a_cache("corda", "corda_config"), "does not fit the base model"),
    "a cache of gradients": (reads_a_cache("lora_ga", "lora_ga_config"), None),
}


@pytest.mark.parametrize("name", ADAPTERS)
def test_an_adapter_runs_nothing(name: str, tmp_path: Path, mark: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base, folder = write_checkpoint(tmp_path / "base"), write_adapter(tmp_path / "adapter")
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    plant(folder, mark)
    spoil, refusal = ADAPTERS[name]
    spoil(folder, mark)
    if refusal is None:
        load(inspect(folder), inspect(base), device=CPU, dtype="float32")
    else:
        with pytest.raises(DiffError, match=refusal):
            load(inspect(folder), inspect(base), device=CPU, dtype="float32")
    assert not mark.exists()


@pytest.mark.parametrize("name", ["sae.pt", "sae.pth", "ae.pt", "sae_weights.safetensors", "sae.safetensors"])
@pytest.mark.parametrize("write", [plant, raw_pickle])
def test_an_sae_runs_nothing(name: str, write: Callable[[Path, Path, str], object], tmp_path: Path, mark: Path) -> None:
    folder = write_sae(tmp_path / "layers.1")
    trained = {"dict_class": "AutoEncoder", "activation_dim": 16, "dict_size": 40}
    edit(folder, "config.json", trainer=trained | {"submodule_name": "resid_post_layer_1"})
    only(name, write=write)(folder, mark)
    with pytest.raises(DiffError) as caught:
        load_sae(folder, CPU, torch.float32)
    assert caught.value.reason in {"unsafe_format", "sae_invalid"}
    assert not mark.exists()


def test_the_mark_would_be_made(tmp_path: Path, mark: Path) -> None:
    """By whoever reads the same without distrust."""
    plant(tmp_path, mark, "ae.pt")
    torch.load(tmp_path / "ae.pt", weights_only=False)
    assert mark.exists()


def test_a_tokenizer_is_read_from_its_folder_alone(tmp_path: Path) -> None:
    """A configuration may name the files of a vocabulary; what they hold ends as labels and answers in reports."""
    elsewhere = tmp_path / "elsewhere.txt"
    elsewhere.write_text("[UNK]\n[CLS]\n[SEP]\n[PAD]\n[MASK]\ntopsecret\n")
    folder = write_checkpoint(tmp_path / "model")
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("[UNK]\n[CLS]\n[SEP]\n[PAD]\n[MASK]\nours\n")
    (folder / "tokenizer_config.json").unlink()
    edit(folder, "tokenizer_config.json", tokenizer_class="BertTokenizer", vocab_file=str(elsewhere))
    model = load(inspect(folder), inspect(folder), device=CPU, dtype="float32")
    texts = {model.token_text(token) for token in range(6)}
    assert "ours" in texts
    assert "topsecret" not in texts
