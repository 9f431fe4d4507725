"""From a checkpoint's files to a model that answers. Nothing is fetched, no code of the checkpoint runs."""

from pathlib import Path
from typing import Any

import torch
from peft import PeftConfig, PeftModel
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.utils import logging as transformers_logging

from workers import panics
from workers.errors import DiffError
from workers.models.checkpoint import Checkpoint, check_pair, tokenizer_home
from workers.models.memory import is_out_of_memory, transient_out_of_memory
from workers.models.text_ids import TextIds
from workers.models.transformers_model import TransformersModel
from workers.models.vocabulary import check_vocabulary
from workers.models.weights import ADAPTER, invalid
from workers.settings import DType

DEFAULT_CONTEXT = 2048
ADAPTER_TENSORS = ("lora_", "ia3_", "hada_", "lokr_", "modules_to_save", "trainable_tokens")


def pick_device(name: str) -> torch.device:
    """`auto` is the GPU where there is one. Raises ValueError where there is no such device."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"{name!r} is no device: set STREAKLINE_DEVICE to auto, cpu, cuda or cuda:1") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"there is no GPU {name} here: set STREAKLINE_DEVICE to auto or cpu, or see to its driver")
    return device


def load(
    checkpoint: Checkpoint,
    base: Checkpoint,
    *,
    device: torch.device,
    dtype: DType,
    tokenizer_folder: Path | None = None,
    tokens_per_batch: int = 4096,
) -> TransformersModel:
    """The model of `checkpoint`, merged into `base` where it is an adapter (pass the base twice to load the base).

    Both sides of a comparison want one tokenizer: pass `tokenizer_home(…)`. Raises DiffError.
    """
    check_pair(base, checkpoint)
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    home = tokenizer_home(tokenizer_folder, checkpoint.folder, base.folder)
    with transient_out_of_memory(f"loading {checkpoint.folder}"):
        model = _load_whole((base if checkpoint.is_adapter else checkpoint).folder, getattr(torch, dtype))
        if checkpoint.is_adapter:
            model = _merge(model, checkpoint.folder)
        model.train(mode=False)
        model.requires_grad_(requires_grad=False)
        model.to(device)  # type: ignore[arg-type]
    return TransformersModel(model, _text_ids(home, model.config), tokens_per_batch=tokens_per_batch)


def _load_whole(folder: Path, dtype: torch.dtype) -> PreTrainedModel:
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        # A checkpoint's own wish, which is where these are kept, could be a kernel that is fetched and run.
        config._attn_implementation = _attention(config)  # noqa: SLF001
        config._experts_implementation = None  # noqa: SLF001
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            config=config,
            dtype=dtype,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # refused below, by name
        )
        model: PreTrainedModel = loaded[0]
    except Exception as error:  # transformers raises whatever the files led it to
        if is_out_of_memory(error):
            raise
        raise invalid(folder, f"cannot be loaded ({_first_line(error)})") from error
    _check_report(folder, loaded[1])
    return model


def _attention(config: PreTrainedConfig) -> str:
    text = config.get_text_config()
    # Scaled dot-product attention leaves the soft-capping of Gemma 2 out.
    if getattr(text, "attn_logit_softcapping", None) is not None:
        return "eager"
    model_class = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    return "sdpa" if getattr(model_class, "_supports_sdpa", False) else "eager"


def _check_report(folder: Path, report: dict[str, Any]) -> None:
    if report["mismatched_keys"]:
        name, stored, wanted = min(report["mismatched_keys"])
        raise invalid(folder, f"has {name} in the shape {tuple(stored)} where its config.json wants {tuple(wanted)}")
    if report["missing_keys"]:
        missing = sorted(report["missing_keys"])
        raise invalid(folder, f"lacks {len(missing)} of the model's weights, the first is {missing[0]}")


def _merge(model: PreTrainedModel, folder: Path) -> PreTrainedModel:
    path = folder / ADAPTER
    try:
        config = PeftConfig.from_pretrained(str(folder), local_files_only=True)
        config.inference_mode = True
        adapted = PeftModel(model, config)
        report = adapted.load_adapter(str(folder), "default", is_trainable=False, local_files_only=True)
        missing = [key for key in report.missing_keys if any(mark in key for mark in ADAPTER_TENSORS)]
        strange = list(report.unexpected_keys)
        merged: PreTrainedModel = adapted.merge_and_unload(safe_merge=True)
    except Exception as error:  # peft raises whatever the files led it to
        if is_out_of_memory(error):
            raise
        raise invalid(path, f"does not fit the base model ({_first_line(error)})") from error
    if missing or strange:
        raise invalid(
            path,
            f"does not fit the base model: {len(missing)} tensors are missing and {len(strange)} have no place, "
            f"the first is {[*missing, *strange][0]}",
        )
    return merged


def _text_ids(home: Path, config: PreTrainedConfig) -> TextIds:
    text = config.get_text_config()
    context = int(getattr(text, "max_position_embeddings", None) or DEFAULT_CONTEXT)
    check_vocabulary(home)
    try:
        with panics.as_errors():
            tokenizer = AutoTokenizer.from_pretrained(home, local_files_only=True, trust_remote_code=False)
            return TextIds(tokenizer, context, text.vocab_size)
    except DiffError:
        raise
    except Exception as error:  # transformers raises whatever the files led it to
        raise invalid(home, f"has a tokenizer that cannot be loaded ({_first_line(error)})") from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
