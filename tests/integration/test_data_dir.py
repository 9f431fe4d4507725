"""A data directory that was made under other topics."""

import uuid
from pathlib import Path

from producers.codec import encode
from producers.kafka import KafkaSettings
from producers.topics import TopicSettings, ensure_topics
from stream_app.engine.replay import signals_of, steps
from tests.publishing import publish, signals_on
from tests.worker import running_worker, wait_until
from tests.workload import Published


def test_under_another_prefix_a_worker_begins_with_nothing(
    kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path
) -> None:
    events = steps(loss=[float(step) for step in range(12)])
    records = [Published(event.run_id.encode(), encode(event)) for event in events]
    with running_worker(kafka, topics, tmp_path / "data") as worker:
        worker.wait_for_events(publish(kafka, topics, records))
    others = TopicSettings(topic_prefix=f"other-{uuid.uuid4().hex[:8]}.", partitions=topics.partitions)
    ensure_topics(kafka, others)
    publish(kafka, others, records)
    with running_worker(kafka, others, tmp_path / "data") as worker:
        wait_until(lambda: signals_on(kafka, others) == list(signals_of(events)), worker)
