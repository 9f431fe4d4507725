"""Which layers are attention."""

import re
from collections.abc import Mapping
from functools import lru_cache

from producers.events import LayerKind

_ATTENTION = frozenset(
    """attn attention self_attn self_attention cross_attn crossattention encoder_attn mha multihead_attn
    q_proj k_proj v_proj o_proj out_proj qkv qkv_proj query_key_value c_attn query key value wq wk wv wo""".split()
)


def is_attention(layer: str, kinds: Mapping[str, LayerKind] | None = None) -> bool:
    """Whether `layer` is attention: as `kinds` says where it lists the layer, else by name.

    >>> is_attention("model.layers.3.self_attn.q_proj"), is_attention("model.layers.3.mlp")
    (True, False)
    >>> is_attention("layers.3.attention.ln_attn"), is_attention("block.7", {"block.7": "attention"})
    (False, True)
    """
    if kinds is not None and (kind := kinds.get(layer)) is not None:
        return kind == "attention"
    return _is_attention_by_name(layer)


@lru_cache(maxsize=16_384)
def _is_attention_by_name(layer: str) -> bool:
    components = re.split(r"[./]", layer.lower())
    is_norm = "norm" in components[-1] or components[-1].startswith("ln")
    return not is_norm and not _ATTENTION.isdisjoint(components)
