"""What a diff worker knows of itself: for /healthz and /readyz."""

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from producers.kafka import KafkaSettings, client_config
from producers.status_server import Check
from workers.diff_worker import DiffWorker

STUCK_SECONDS = 90.0
"""a commit to a broker that is away gives up before; so does waiting for a result to be acknowledged"""
_ANSWERS_WITHIN_SECONDS = 3.0


class WorkerStatus:
    """Asked from the threads that answer HTTP."""

    def __init__(self, worker: DiffWorker, kafka: KafkaSettings, topic: str) -> None:
        self._worker = worker
        self._topic = topic
        self._admin = AdminClient(client_config(kafka))

    def health(self) -> list[Check]:
        """Passes: the process need not be killed, however long its diff takes."""
        silent = self._worker.silent_seconds
        alive = silent <= STUCK_SECONDS
        return [Check("loop", alive, "runs" if alive else f"is stuck: it has not asked for records for {silent:.0f} s")]

    def readiness(self) -> list[Check]:
        """All pass: a run that completes gets its diff."""
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
