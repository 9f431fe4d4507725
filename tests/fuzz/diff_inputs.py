"""What a diff reads: probes, SAEs with their labels, and checkpoints."""

from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file

from tests.fuzz.target import Target, of_file, of_folder
from tests.unit.workers.models.small_models import CONFIGS, tokenizer
from tests.unit.workers.sae import small_saes
from workers.errors import DiffError
from workers.models.checkpoint import inspect
from workers.models.loading import _text_ids
from workers.models.weights import count_parameters, model_weights
from workers.probes.reading import read_probes
from workers.sae.formats import load_sae
from workers.sae.labels import read_labels

_LLAMA = CONFIGS["llama"]


def _load_sae(folder: Path) -> None:
    sae = load_sae(folder, torch.device("cpu"), torch.float32)
    sae.read_decoder()


def _inspect_weights(folder: Path) -> None:
    for path, expected in model_weights(folder).items():
        count_parameters(path, expected)


def _checkpoint(folder: Path) -> None:
    _LLAMA.save_pretrained(folder)
    save_file({"model.embed_tokens.weight": torch.zeros(4, 4)}, folder / "model.safetensors")


def _shards(folder: Path) -> None:
    save_file({"a": torch.zeros(2, 2)}, folder / "model-1.safetensors")


def _adapter(folder: Path) -> None:
    save_file({"lora_a": torch.zeros(2, 2)}, folder / "adapter_model.safetensors")


def _dictionary(folder: Path) -> None:
    made = small_saes.tensors()
    weights = {"W_enc": made["W_enc"], "b_enc": made["b_enc"], "W_dec": made["W_dec"], "b_dec": made["b_dec"]}
    small_saes.write_dictionary(folder, "AutoEncoder", weights)


def _sparsify(folder: Path) -> None:
    small_saes.write_sparsify(folder)


def _tokenizer(folder: Path) -> None:
    tokenizer().save_pretrained(folder)


def _read_tokenizer(folder: Path) -> None:
    _text_ids(folder, _LLAMA).opening("some text")


def _target(
    name: str,
    file: str,
    read: Callable[[Path], object],
    beside: Callable[[Path], object] = lambda _: None,
    *,
    is_slow: bool = False,
) -> Target:
    return Target(name=name, decode=of_folder(file, read, beside=beside), allowed=(DiffError,), is_slow=is_slow)


TARGETS = (
    Target(name="probes", decode=of_file("probes.jsonl", read_probes), allowed=(DiffError,)),
    _target("sae_labels_json", "labels.json", lambda folder: read_labels(folder, 40)),
    _target("sae_labels_jsonl", "labels.jsonl", lambda folder: read_labels(folder, 40)),
    _target("saelens_config", "cfg.json", _load_sae, small_saes.write_saelens),
    _target("saelens_weights", "sae_weights.safetensors", _load_sae, small_saes.write_saelens),
    _target("sparsify_config", "layers.3/cfg.json", _load_sae, _sparsify),
    _target("dictionary_config", "config.json", _load_sae, _dictionary, is_slow=True),
    _target("dictionary_weights", "ae.pt", _load_sae, _dictionary, is_slow=True),
    _target("checkpoint_config", "config.json", inspect, _checkpoint, is_slow=True),
    _target("checkpoint_weights", "model.safetensors", _inspect_weights),
    _target("checkpoint_index", "model.safetensors.index.json", _inspect_weights, _shards),
    _target("adapter_config", "adapter_config.json", inspect, _adapter),
    _target("tokenizer", "tokenizer.json", _read_tokenizer, _tokenizer, is_slow=True),
)
