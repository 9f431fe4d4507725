"""Asks the broker every few seconds what it holds, on a connection of its own: whether it answers, and how much waits.

A consumer that has died goes on believing in the end it last saw.
"""

import threading
import time
from collections.abc import Mapping

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from producers.kafka import KafkaSettings, client_config, reader_config
from stream_app.lag import Offsets

INTERVAL_SECONDS = 5.0
_TIMEOUT_SECONDS = 4.0


class BrokerWatch:
    """One topic's offsets, and how far one consumer group is, as the broker last told them."""

    def __init__(self, kafka: KafkaSettings, topic: str, partitions: int, group: str) -> None:
        self.offsets: Mapping[int, Offsets] = {}
        self.error: str | None = "it was not asked yet"
        """why there is no answer; None where there is"""
        self._answered_at: float | None = None
        self._admin = AdminClient(client_config(kafka))
        # Not the admin client, which aborts the process where the coordinator's connection ends while it is asked for
        # this (librdkafka 2.16, issue 3663). It never joins the group.
        self._member = Consumer(reader_config(kafka) | {"group.id": group})
        self._partitions = [TopicPartition(topic, partition) for partition in range(partitions)]

    def start(self) -> None:
        """Ask until the process ends."""
        threading.Thread(target=self._run, name="broker-watch", daemon=True).start()

    @property
    def silent_seconds(self) -> float:
        """Since the broker last answered; infinite before it first did."""
        return float("inf") if self._answered_at is None else time.monotonic() - self._answered_at

    def ask(self) -> None:
        """Ask once."""
        try:
            first = self._listed(OffsetSpec.earliest())  # type: ignore[no-untyped-call]
            end = self._listed(OffsetSpec.latest())  # type: ignore[no-untyped-call]
            committed = self._committed()
        except KafkaException as error:
            self.error = error.args[0].str()
        else:
            self.offsets = {each: Offsets(first[each], end[each], max(0, committed.get(each, 0))) for each in end}
            self._answered_at, self.error = time.monotonic(), None

    def _listed(self, spec: OffsetSpec) -> dict[int, int]:
        answers = self._admin.list_offsets(dict.fromkeys(self._partitions, spec), request_timeout=_TIMEOUT_SECONDS)
        return {partition.partition: answer.result().offset for partition, answer in answers.items()}

    def _committed(self) -> dict[int, int]:
        asked = self._member.committed(self._partitions, timeout=_TIMEOUT_SECONDS)
        return {each.partition: each.offset for each in asked}

    def _run(self) -> None:
        while True:
            self.ask()
            time.sleep(INTERVAL_SECONDS)
