"""Tiny random models of every family, as save_pretrained leaves them."""

import functools
from pathlib import Path
from typing import Any, cast

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)

VOCABULARY = 262
LAYERS = 3
WIDTH = 16
CONTEXT = 48
SHAPE: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "intermediate_size": 32,
}
HEADS: dict[str, Any] = {"num_attention_heads": 2, "max_position_embeddings": CONTEXT, "initializer_range": 0.4}
GROUPED: dict[str, Any] = SHAPE | HEADS | {"num_key_value_heads": 1, "head_dim": 8, "pad_token_id": None}
ENDS: dict[str, Any] = {"bos_token_id": 256, "eos_token_id": 257}

CONFIGS: dict[str, PreTrainedConfig] = {
    "llama": LlamaConfig(**GROUPED, **ENDS),
    "gpt2": GPT2Config(
        vocab_size=VOCABULARY,
        n_embd=WIDTH,
        n_layer=LAYERS,
        n_head=2,
        n_positions=CONTEXT,
        initializer_range=0.4,
        **ENDS,
    ),
    "neox": GPTNeoXConfig(**SHAPE, **HEADS, **ENDS),
    "qwen2": Qwen2Config(**{k: v for k, v in GROUPED.items() if k != "head_dim"}, **ENDS),
    "qwen3": Qwen3Config(**GROUPED, **ENDS),
    # Capped hard, and with windows shorter than the texts, so that leaving either out would show.
    "gemma2": Gemma2Config(
        **GROUPED,
        **ENDS,
        final_logit_softcapping=2.0,
        attn_logit_softcapping=1.0,
        sliding_window=4,
        query_pre_attn_scalar=8,
    ),
    "gemma3": Gemma3TextConfig(**GROUPED, **ENDS, sliding_window=4, query_pre_attn_scalar=8),
}
FAMILIES = sorted(CONFIGS)


def tokenizer(*, adds_bos: bool = True) -> PreTrainedTokenizerFast:
    """A token per byte; ids 256 and 257 begin and end a text."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE(vocab={letter: index for index, letter in enumerate(alphabet)}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens(["<s>", "</s>"])
    if adds_bos:
        inner.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 256)])
    made: Any = PreTrainedTokenizerFast
    return cast("PreTrainedTokenizerFast", made(tokenizer_object=inner, bos_token="<s>", eos_token="</s>"))


def build(family: str, seed: int = 0) -> PreTrainedModel:
    torch.manual_seed(seed)
    auto: Any = AutoModelForCausalLM
    return cast("PreTrainedModel", auto.from_config(CONFIGS[family]).eval())


def write(folder: Path, family: str = "llama", *, seed: int = 0, adds_bos: bool = True) -> Path:
    build(family, seed).save_pretrained(folder)
    tokenizer(adds_bos=adds_bos).save_pretrained(folder)
    return folder


@functools.cache
def reference(folder: Path) -> Any:
    """The same model as transformers loads it, with the attention that keeps every detail of the architecture."""
    auto: Any = AutoModelForCausalLM
    return auto.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()
