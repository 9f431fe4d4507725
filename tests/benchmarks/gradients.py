"""What measuring the gradients costs a training loop."""

import time
from collections.abc import Callable

import torch
from torch.nn import functional

from producers.gradients.norms import GradientNorms
from streakline.demo.transformer import Shape, Transformer
from tests.benchmarks.figures import Figure

ROUNDS = 40
BATCH = 8
CONTEXT = 64
SHAPES = (
    Shape(vocabulary=64, context=CONTEXT),
    Shape(vocabulary=64, context=CONTEXT, layers=16),
    Shape(vocabulary=64, context=CONTEXT, width=256),
)


def main() -> None:
    """Print the table in microseconds."""
    torch.set_num_threads(1)
    print(
        "## Gradient norms on one CPU core, in microseconds: median (10th to 90th percentile) of "
        f"{ROUNDS} interleaved rounds, {BATCH * CONTEXT} tokens a step"
    )
    print(
        f"{'width':>5} {'tensors':>7}  {'forward + backward':>26} {'measure()':>22} {'one by one':>22} "
        f"{'ratio':>6} {'of a step':>9}"
    )
    for shape in SHAPES:
        _norms(shape)


def _norms(shape: Shape) -> None:
    torch.manual_seed(0)
    model = Transformer(shape)
    tokens = torch.randint(shape.vocabulary, (BATCH, CONTEXT + 1))
    norms = GradientNorms(model)

    def train() -> None:
        model.zero_grad()
        loss = functional.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())
        loss.backward()  # type: ignore[no-untyped-call]

    def one_by_one() -> None:
        for parameter in model.parameters():
            assert parameter.grad is not None
            parameter.grad.norm().item()

    training, measuring, naive = _interleaved(train, norms.measure, one_by_one)
    print(
        f"{shape.width:>5} {len(list(model.parameters())):>7}  {training!s:>26} {measuring!s:>22} {naive!s:>22} "
        f"{measuring.middle / naive.middle:>6.2f} {measuring.middle / training.middle:>9.1%}"
    )


def _interleaved(*works: Callable[[], object]) -> list[Figure]:
    """Each in turn, round by round, so that what else the machine does falls on all of them."""
    rounds: list[list[float]] = [[] for _ in works]
    for number in range(ROUNDS + 3):
        for work, figures in zip(works, rounds, strict=True):
            began = time.perf_counter()
            work()
            if number >= 3:  # The first rounds warm caches and allocators up.
                figures.append(time.perf_counter() - began)
    return [Figure(figures) for figures in rounds]


if __name__ == "__main__":
    main()
