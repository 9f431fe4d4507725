"""From the moment a step is published until the webhook of the pager has it, with the settings that are shipped."""

import random
import tempfile
import time
from pathlib import Path
from statistics import quantiles

from producers.codec import encode
from producers.events import StepEvent
from tests.publishing import publish
from tests.running_stack import Running, running
from tests.workload import Published

OF_EACH = 20
"""one more run of a type would be a storm"""
TYPES = ("non_finite", "loss_diverging", "gradient_spike")
GAP_SECONDS = (0.5, 1.5)
"""a random while between two of them, so that they meet scrapes and rules at any moment"""
LONGEST_SECONDS = 30.0


def main() -> None:
    """Print how long they took."""
    print("## From a step to the pager's webhook, everything on the same machine")
    with tempfile.TemporaryDirectory() as folder, running(Path(folder) / "stack") as it:
        it.wait_for_scrape()
        sent = _send(it)
        it.wait_until(lambda: len(it.told("pager")) >= len(sent), LONGEST_SECONDS)
        pages = it.told("pager")
    assert len(pages) == len(sent), "somebody was told twice"
    seconds = sorted(page.received_at - sent[page.run_id or ""] for page in pages)
    p50, p95 = quantiles(seconds, n=100)[49], quantiles(seconds, n=100)[94]
    print(f"p50 {p50:.1f} s, p95 {p95:.1f} s, highest {seconds[-1]:.1f} s of {len(seconds)} signals")


def _send(it: Running) -> dict[str, float]:
    """Run id → when its critical step was published, Unix seconds."""
    rng = random.Random(0)
    sent = {}
    for number in range(OF_EACH):
        for type_ in TYPES:
            run_id = f"bench/{type_}-{number}"
            sent[run_id] = time.time()
            publish(it.stack.kafka, it.stack.topics, _critical_run(run_id, type_))
            it.stack.watch(rng.uniform(*GAP_SECONDS))
    return sent


def _critical_run(run_id: str, type_: str) -> list[Published]:
    losses, max_grads = {
        "non_finite": ([float("nan")], [1.0]),
        "loss_diverging": ([1.0 + 0.1 * step for step in range(11)], [1.0] * 11),
        "gradient_spike": ([1.0 + step % 2 for step in range(6)], [1.0] * 5 + [30.0]),
    }[type_]
    now = time.time()
    return [
        Published(run_id.encode(), encode(StepEvent(run_id=run_id, step=step, ts=now, loss=loss, max_grad=max_grad)))
        for step, (loss, max_grad) in enumerate(zip(losses, max_grads, strict=True))
    ]
