"""What Tansu, the local broker, does otherwise than Apache Kafka, and what makes up for it. Nothing else knows.

Tansu answers ListOffsets(LATEST) with the last *batch's* base offset + 1. Faust takes that for the end of a
changelog, finds its stored offset beyond it when it restarts on a kept data directory, and dies of a
ConsistencyError. The high watermark in a fetch response is right, so here it is asked for with a fetch.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import aiokafka
from aiokafka import TopicPartition


async def end_offsets(
    bootstrap: str, let_in: Mapping[str, Any], partitions: Iterable[TopicPartition]
) -> dict[TopicPartition, int]:
    """One past the last record of each partition, from the high watermark of a fetch of its last batch.

    `let_in` is what aiokafka's clients are told of TLS and SASL.
    """
    partitions = list(partitions)
    # A worker that only stands by has none, and a client that is stopped as soon as it is started is cancelled.
    if not partitions:
        return {}
    consumer = aiokafka.AIOKafkaConsumer(
        bootstrap_servers=bootstrap, fetch_max_wait_ms=20, enable_auto_commit=False, **let_in
    )
    await consumer.start()
    try:
        ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
        for partition, last_batch in ends.items():
            if last_batch == 0:
                continue
            consumer.assign([partition])
            consumer.seek(partition, last_batch - 1)
            while consumer.highwater(partition) is None:
                await consumer.getmany(partition, timeout_ms=100)
            ends[partition] = consumer.highwater(partition)
        return ends
    finally:
        await consumer.stop()
