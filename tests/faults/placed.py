"""Faults at a chosen point of a stream worker: each comes once, and leaves a file beside the data directory."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

HELD = "held"
"""the file that says that a batch is held, beside the data directory"""
GO_ON = "go-on"
"""the file that lets it go on"""


def _beside_the_data(name: str) -> Path:
    return Path(os.environ["STREAKLINE_DATA_DIR"]).parent / name


def _is_first(name: str) -> bool:
    """Whether this has not happened before."""
    file = _beside_the_data(f"{name}.once")
    if file.exists():
        return False
    file.touch()
    return True


async def _commit_and_die(agent: Any) -> None:
    await agent._app.consumer.commit()
    os.kill(os.getpid(), signal.SIGKILL)


def dies_before_telling() -> None:
    """Killed when it has signals to send and none of them is sent; what it has acknowledged by then is committed."""
    from stream_app.batches import BatchAgent

    publish = BatchAgent._publish

    async def publish_or_die(self: Any, judged: Any) -> None:
        if judged.signals and _is_first("died"):
            await _commit_and_die(self)
        await publish(self, judged)

    BatchAgent._publish = publish_or_die  # type: ignore[method-assign]


def dies_after_acknowledging() -> None:
    """Killed when a batch with signals is done with; the broker takes its time with signals."""
    from stream_app.batches import BatchAgent
    from stream_app.steps import StepsAgent

    publish, apply, applied = BatchAgent._publish, BatchAgent._apply, StepsAgent.applied
    dying: list[Any] = []

    async def publish_slowly(self: Any, judged: Any) -> None:
        producer, send = self._app.producer, self._app.producer.send

        async def send_slowly(topic: str, *arguments: Any) -> Any:
            async def later() -> Any:
                await asyncio.sleep(1.0)
                return await (await send(topic, *arguments))

            return asyncio.ensure_future(later())

        producer.send = send_slowly
        try:
            await publish(self, judged)
        finally:
            producer.send = send

    def note(self: Any, records: Any, judged: Any) -> None:
        applied(self, records, judged)
        dying.extend(judged.signals)

    async def apply_and_die(self: Any, batch: Any) -> None:
        await apply(self, batch)
        if dying and _is_first("died"):
            await _commit_and_die(self)

    BatchAgent._publish = publish_slowly  # type: ignore[method-assign]
    BatchAgent._apply = apply_and_die  # type: ignore[method-assign]
    StepsAgent.applied = note  # type: ignore[method-assign]


def dies_before_replicating() -> None:
    """Killed, once it may `GO_ON`, when its signals are told and no state is on the changelog."""
    from stream_app.tables import ReplicatedTable

    replicate = ReplicatedTable.replicate

    async def die_or_replicate(self: Any, values: Any) -> Any:
        if values and _beside_the_data(GO_ON).exists() and _is_first("died"):
            os.kill(os.getpid(), signal.SIGKILL)
        return await replicate(self, values)

    ReplicatedTable.replicate = die_or_replicate  # type: ignore[method-assign]


def holds_a_batch() -> None:
    """Its first batch with signals waits, once these are told, until it may go on."""
    from stream_app.batches import BatchAgent

    publish = BatchAgent._publish

    async def publish_and_hold(self: Any, judged: Any) -> None:
        await publish(self, judged)
        if judged.signals and _is_first("held-once"):
            _beside_the_data(HELD).touch()
            while not _beside_the_data(GO_ON).exists():  # noqa: ASYNC110  # another process makes it
                await asyncio.sleep(0.05)

    BatchAgent._publish = publish_and_hold  # type: ignore[method-assign]


def ends_its_batches_first() -> None:
    """Killed when its batches have ended and its stream goes on, as it may for a moment when it is asked to end."""
    import faust

    noack_take = faust.Stream.noack_take

    async def take(self: Any, max_: int, within: float) -> AsyncIterator[Any]:
        batches = noack_take(self, max_, within)
        async for batch in batches:
            yield batch
            await batches.aclose()
            await asyncio.sleep(1)
            await self.app.consumer.commit()
            os.kill(os.getpid(), signal.SIGKILL)

    faust.Stream.noack_take = take  # type: ignore[method-assign, assignment]


def seeks_slowly() -> None:
    """The positions are set some time before the flow is resumed; what may be judged by then is so after that."""
    from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread

    from stream_app.batches import BatchAgent

    seek, publish = AIOKafkaConsumerThread.seek_to_committed, BatchAgent._publish
    is_over = asyncio.Event()

    async def seek_slowly(self: Any) -> Any:
        positions = await seek(self)
        await asyncio.sleep(3)
        is_over.set()
        return positions

    async def publish_later(self: Any, judged: Any) -> None:
        await is_over.wait()
        if _is_first("told"):
            await asyncio.sleep(1)
        await publish(self, judged)

    AIOKafkaConsumerThread.seek_to_committed = seek_slowly  # type: ignore[method-assign]
    BatchAgent._publish = publish_later  # type: ignore[method-assign]


FAULTS: Mapping[str, Callable[[], None]] = {
    "dies-before-telling": dies_before_telling,
    "dies-after-acknowledging": dies_after_acknowledging,
    "dies-before-replicating": dies_before_replicating,
    "holds-a-batch": holds_a_batch,
    "seeks-slowly": seeks_slowly,
    "ends-its-batches-first": ends_its_batches_first,
}
