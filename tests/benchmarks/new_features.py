"""What an SAE of the base says of something that a fine-tune has learnt, where it knows it and where it does not.

Tokens are sums of a few of 256 directions; an SAE is trained on them as the demo's are. The "fine-tuned model" has the
same tokens, to some of which another direction was added: one of the 256, or a new one.
``python -m tests.benchmarks new_features`` prints the table; `make docs` puts it into docs/diffs.md.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from msgspec import Struct

from streakline.demo.small_sae import save_sae, train_sae
from tests.documents import ROOT, put_between, table
from workers.lake.tables import SaeLayerRow
from workers.models.language_model import Done, Generation, Question, ResidualBatch
from workers.sae.compare import Thresholds, compare
from workers.sae.encoder import Sae
from workers.sae.formats import load_sae
from workers.sae.measure import LayerSums, measure_features

WIDTH = 96
DIRECTIONS = 256
PER_TOKEN = 8
"""directions, each 0.5 to 1.5 times"""
TOKENS = 4096
LAYER = 1
SEED = 0
KNOWN = 7
"""the direction, and the SAE's feature of it"""
SHARES = (0.01, 0.05, 0.2)
SIZES = (1.0, 2.0, 4.0)
PAGE = ROOT / "docs" / "diffs.md"
BEGINS, ENDS = "<!-- figures: new features, made by `make docs` -->", "<!-- end of figures -->"


class Learnt(Struct, frozen=True):
    """What was said of a direction that was added to a share of the tokens."""

    share: float
    size: float
    """times a usual feature"""
    known: SaeLayerRow
    new: SaeLayerRow


class _Tokens:
    """A model that is nothing but its residual stream; the other methods are not for SAEs."""

    width = WIDTH

    def __init__(self, tokens: torch.Tensor) -> None:
        self._tokens = tokens

    def for_each_residual(
        self, texts: Sequence[str], layers: Sequence[int], consume: Callable[[ResidualBatch], None], done: Done
    ) -> None:
        mask = torch.ones(1, len(self._tokens), dtype=torch.bool)
        consume(ResidualBatch(residuals=dict.fromkeys(layers, self._tokens[None]), mask=mask))
        done(1.0)

    def next_token_log_probs(self, prompts: Sequence[str]) -> torch.Tensor:
        raise NotImplementedError("features are measured on residuals alone")

    def answer_log_probs(self, questions: Sequence[Question], done: Done) -> list[tuple[float, ...]]:
        raise NotImplementedError("features are measured on residuals alone")

    def generate(self, prompts: Sequence[str], max_new_tokens: int, done: Done) -> list[Generation]:
        raise NotImplementedError("features are measured on residuals alone")


def learnt() -> Iterator[Learnt]:
    """Of each share and size."""
    torch.set_num_threads(1)
    directions = _unit(DIRECTIONS, SEED)
    (new,) = _unit(1, SEED + 5)
    tokens = _tokens(directions, TOKENS, seed=2)
    with tempfile.TemporaryDirectory() as folder:
        sae = _sae(directions, Path(folder) / "sae")
        base = _measured(sae, tokens)
        for share in SHARES:
            chosen = torch.rand(TOKENS, 1, generator=torch.Generator().manual_seed(9)) < share
            for size in SIZES:
                rows = (
                    compare(base, _measured(sae, tokens + size * chosen * added), Thresholds(), {}).row
                    for added in (directions[KNOWN], new)
                )
                yield Learnt(share, size, *rows)


def lines() -> list[str]:
    """The table."""
    heads = ("on … of the tokens", "times a feature")
    columns = ("features changed", "FVU", "alarm")
    rows = [
        [f"{100 * each.share:.0f} %", f"{each.size:g}", *_cells(each.known), *_cells(each.new)] for each in learnt()
    ]
    return table([*heads, *(f"known: {name}" for name in columns), *(f"new: {name}" for name in columns)], rows)


def _cells(row: SaeLayerRow) -> list[str]:
    named = " (it)" if row.n_changed == 1 and row.top_feature == KNOWN else ""
    return [
        f"{row.n_changed}{named}",
        f"{row.fvu_base:.3f} → {row.fvu_fine_tuned:.3f}",
        "yes" if row.fvu_alarm else "no",
    ]


def _unit(count: int, seed: int) -> torch.Tensor:
    drawn = torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(drawn, dim=-1)


def _tokens(directions: torch.Tensor, count: int, seed: int) -> torch.Tensor:
    """(count, width)"""
    chance = torch.Generator().manual_seed(seed)
    chosen = torch.rand(count, DIRECTIONS, generator=chance).topk(PER_TOKEN).indices
    strengths = torch.rand(count, PER_TOKEN, generator=chance) + 0.5
    return torch.zeros(count, DIRECTIONS).scatter(-1, chosen, strengths) @ directions


def _sae(directions: torch.Tensor, folder: Path) -> Sae:
    """As good as it gets: its training begins with the very directions, of the same seed and so by the same number."""
    save_sae(folder, train_sae(_tokens(directions, 4 * TOKENS, seed=1), SEED), LAYER)
    return load_sae(folder, torch.device("cpu"), torch.float32)


def _measured(sae: Sae, tokens: torch.Tensor) -> LayerSums:
    (sums,) = measure_features(_Tokens(tokens), [sae], ["the tokens"], lambda _: None)
    return sums


def main() -> None:
    """Print the table."""
    print("## A direction that a fine-tune has learnt: what an SAE of the base says of it")
    print("\n".join(lines()))


if __name__ == "__main__":
    put_between(PAGE, BEGINS, ENDS, lines())
