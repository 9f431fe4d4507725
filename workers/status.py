"""What a worker that reads from Kafka knows of itself: for /healthz and /readyz."""

from collections.abc import Mapping
from typing import Protocol

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from producers.kafka import KafkaSettings, client_config
from producers.stalls import StallWatch
from producers.status_server import Check, turns

_ANSWERS_WITHIN_SECONDS = 3.0


class Loop(Protocol):
    """A worker's loop, as seen from another thread."""

    @property
    def stalls(self) -> StallWatch:
        """What looks at it."""

    @property
    def is_assigned(self) -> bool:
        """Whether the group has said which partitions this worker has."""


class WorkerStatus:
    """Asked from the threads that answer HTTP."""

    def __init__(
        self, worker: Loop, kafka: KafkaSettings, topic: str, beside: Mapping[str, StallWatch] | None = None
    ) -> None:
        """`beside` are the other loops that have to turn, by name."""
        self._worker = worker
        self._loops = {"loop": worker.stalls, **(beside or {})}
        self._topic = topic
        self._admin = AdminClient(client_config(kafka))

    def health(self) -> list[Check]:
        """Passes: the process need not be killed, however long what it does takes."""
        return [turns(name, watch) for name, watch in self._loops.items()]

    def readiness(self) -> list[Check]:
        """All pass: what comes is dealt with."""
        assigned = self._worker.is_assigned
        return [
            *self.health(),
            self._broker(),
            Check("partitions", assigned, "assigned" if assigned else "the group is being rebalanced"),
        ]

    def _broker(self) -> Check:
        try:
            self._admin.list_topics(self._topic, timeout=_ANSWERS_WITHIN_SECONDS)
        except KafkaException as error:
            return Check("broker", False, f"does not answer: {error.args[0].str()}")
        return Check("broker", True, "answers")
