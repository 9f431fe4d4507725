"""What a feature is called: as someone wrote it beside the SAE, else by the tokens it pushes the model towards."""

from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
import torch

from workers.models.language_model import Done
from workers.sae.formats.refusals import invalid

MAX_LABEL = 200
"""characters; longer ones are cut"""
MAX_FILE_BYTES = 256 << 20
TOP_TOKENS = 5
ROWS_AT_ONCE = 64
"""each is a row of logits as long as the vocabulary"""


class Labelled(msgspec.Struct, frozen=True):
    """A line of ``labels.jsonl``."""

    feature: int
    label: str


def tidy(text: str) -> str:
    """One printable line of bounded length: labels come from files and tokenizers, and end on dashboards.

    >>> tidy("  dates\\n in   \\x1b[31mJune ")
    'dates in [31mJune'
    """
    words = " ".join("".join(c if c.isprintable() else " " if c.isspace() else "" for c in text).split())
    return words if len(words) <= MAX_LABEL else f"{words[: MAX_LABEL - 1]}…"


def read_labels(folder: Path, n_features: int) -> dict[int, str]:
    """Of ``labels.json`` (``{"12": "dates"}``) or ``labels.jsonl`` (``{"feature": 12, "label": "dates"}``) in `folder`.

    Empty where there is neither, and without labels that are blank; raises `DiffError` where a file is malformed or
    speaks of a feature that the SAE has not.
    """
    for name, decode in (("labels.json", _decode_json), ("labels.jsonl", _decode_jsonl)):
        path = folder / name
        if not path.is_file():
            continue
        if path.stat().st_size > MAX_FILE_BYTES:
            raise invalid(folder, f"{name} is larger than {MAX_FILE_BYTES >> 20} MiB; shorten it or take it away")
        try:
            labels = {feature: tidy(label) for feature, label in decode(path.read_bytes())}
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise invalid(folder, f"{name} is malformed ({error}); correct it or take it away") from error
        if (wrong := next((feature for feature in labels if not 0 <= feature < n_features), None)) is not None:
            raise invalid(folder, f"{name} labels feature {wrong}, and there are {n_features}; correct it")
        return {feature: label for feature, label in labels.items() if label}
    return {}


def _decode_json(raw: bytes) -> Iterable[tuple[int, str]]:
    return msgspec.json.decode(raw, type=dict[int, str]).items()


def _decode_jsonl(raw: bytes) -> Iterable[tuple[int, str]]:
    lines = msgspec.json.Decoder(Labelled).decode_lines(raw)
    return ((line.feature, line.label) for line in lines)


def logit_lens_labels(
    decoder_rows: torch.Tensor,
    unembedding: torch.Tensor,
    token_text: Callable[[int], str],
    done: Done = lambda _: None,
) -> list[str]:
    """Of (features, width) the tokens that each row raises most, read straight through (vocabulary, width).

    The logit lens (nostalgebraist 2020) without the final norm: scaling a row reorders nothing, the norm's own weight
    may, and whoever wants it multiplies it into `unembedding`.
    """
    labels: list[str] = []
    k = min(TOP_TOKENS, unembedding.shape[0])
    for rows in torch.split(decoder_rows, ROWS_AT_ONCE):
        logits = rows.to(unembedding.device, unembedding.dtype) @ unembedding.T
        top: list[list[int]] = logits.topk(k, dim=-1).indices.tolist()
        labels.extend(tidy(" · ".join(_shown(token_text(token)) for token in tokens)) for tokens in top)
        done(len(labels) / max(len(decoder_rows), 1))
    return labels


def _shown(token: str) -> str:
    return tidy(token) or "␣"
