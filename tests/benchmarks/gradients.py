"""What publishing costs a training loop: measuring the gradients, and `StepPublisher.step`."""

import time
from collections.abc import Callable
from statistics import median

import torch
from msgspec import Struct
from torch.nn import functional

from producers.gradients import GradientNorms, Measured
from producers.kafka import KafkaSettings
from producers.publisher import StepPublisher
from producers.topics import TopicSettings, ensure_topics
from streakline.broker import running_broker
from streakline.demo.transformer import Shape, Transformer

ROUNDS = 40
BATCH = 8
CONTEXT = 64
SHAPES = (
    Shape(vocabulary=64, context=CONTEXT),
    Shape(vocabulary=64, context=CONTEXT, layers=16),
    Shape(vocabulary=64, context=CONTEXT, width=256),
)
STEP_LAYERS = (16, 100)
STEPS = 2_000
LOOP_SECONDS = 0.002
"""between two steps of the loop that publishes: a fast one"""


class Figure(Struct, frozen=True):
    """Seconds of each round."""

    rounds: list[float]

    @property
    def middle(self) -> float:
        """The median."""
        return median(self.rounds)

    def __str__(self) -> str:
        ordered = sorted(self.rounds)
        low, high = ordered[len(ordered) // 10], ordered[-1 - len(ordered) // 10]
        return f"{1e6 * self.middle:,.0f} ({1e6 * low:,.0f} to {1e6 * high:,.0f})"


def main() -> None:
    """Print both tables in microseconds."""
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
    print(f"\n## StepPublisher.step, in microseconds: median (10th to 90th percentile) of {STEPS:,} steps, real broker")
    print(f"{'layers':>6}  {'step()':>22} {'slowest':>9} {'acknowledged':>13}")
    with running_broker() as bootstrap:
        kafka = KafkaSettings(kafka_bootstrap=bootstrap)
        topics = TopicSettings()
        ensure_topics(kafka, topics)
        for layers in STEP_LAYERS:
            _steps(layers, kafka, topics)


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


def _steps(layers: int, kafka: KafkaSettings, topics: TopicSettings) -> None:
    names = [f"model.layers.{layer // 2}.{'mlp' if layer % 2 else 'self_attn'}" for layer in range(layers)]
    gradients = Measured(1.5, {name: 0.1234567 + layer for layer, name in enumerate(names)})
    figures = []
    with StepPublisher(run_id=f"bench-{layers}", kafka=kafka, topics=topics) as run:
        for step in range(STEPS):
            began = time.perf_counter()
            run.step(step, 2.0 + step % 7, learning_rate=3e-4, gradients=gradients, epoch=0.5)
            figures.append(time.perf_counter() - began)
            time.sleep(LOOP_SECONDS)
    stats = run.stats
    figure = Figure(figures)
    print(f"{layers:>6}  {figure!s:>22} {1e6 * max(figures):>9,.0f} {stats.acknowledged:>6} of {stats.published}")


if __name__ == "__main__":
    main()
