"""A local stack with real Prometheus and Alertmanager, and what came of it: what alerting tests look at."""

import contextlib
import json
import time
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct

from producers.kafka import KafkaSettings
from producers.topics import TopicSettings
from streakline.alerting import AlertingSettings
from streakline.archiving import ArchivingSettings
from streakline.diffing import DiffingSettings
from streakline.pages import Notification, Page, Receiver
from streakline.services import Service
from streakline.stack import Stack, StackSettings
from streakline.stack_redis import StackRedisSettings
from tests.clusters import foreign_bootstrap, forget_topics, kafka_at, topics_under
from tests.worker import wait_until

ANY_PORTS = AlertingSettings(prometheus_port=0, alertmanager_port=0, receiver_port=0)
ANY_DIFFING = DiffingSettings(metrics_port=0)
ANY_ARCHIVING = ArchivingSettings(metrics_port=0)


class Alert(Struct, frozen=True):
    """What fires, by the labels that matter."""

    name: str
    run_id: str | None = None
    type: str | None = None


class Running:
    """A stack with alerts, on free ports, with a broker of its own or on a foreign cluster, and everything it said."""

    def __init__(
        self,
        folder: Path,
        alerting: AlertingSettings = ANY_PORTS,
        *,
        workers: int = 1,
        diffing: DiffingSettings | None = None,
        archiving: ArchivingSettings | None = None,
    ) -> None:
        foreign = foreign_bootstrap()
        self.said: list[str] = []
        self.notifications: list[Notification] = []
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.stack = Stack(
            StackSettings(
                state_dir=folder,
                broker_port=0 if foreign is None else None,
                metrics_port=0,
                workers=workers,
                redis=StackRedisSettings(port=0),
                alerting=alerting,
                diffing=diffing,
                archiving=archiving,
            ),
            KafkaSettings() if foreign is None else kafka_at(foreign),
            topics_under(TopicSettings().topic_prefix if foreign is None else f"test-{uuid.uuid4().hex[:8]}."),
            say=self.said.append,
            on_notification=self.notifications.append,
        )

    def service(self, name: str) -> Service:
        """One of its programs: ``stream-1``, ``diff-1``, ``archive``, ``redis``, ``prometheus``, ``alertmanager``."""
        (service,) = (service for service in self.stack._services if service.name == name)
        return service

    def kill(self, name: str) -> None:
        """End it without a chance to do anything about it; the stack starts it again."""
        process = self.service(name).process
        process.kill()
        process.wait()

    def wait_until(self, condition: Callable[[], bool], timeout_seconds: float = 60.0) -> None:
        """Watch the stack until `condition()`."""

        def checked() -> bool:
            self.stack.check()
            return condition()

        wait_until(checked, timeout_seconds=timeout_seconds)

    def query(self, expression: str, at: float | None = None) -> list[float]:
        """The values of `expression`, now or at a moment; none while Prometheus does not answer."""
        assert self.stack.alerting is not None
        parameters = urllib.parse.urlencode({"query": expression, "time": time.time() if at is None else at})
        answer = _json(f"{self.stack.alerting.prometheus_url}/api/v1/query?{parameters}")
        return [] if answer is None else [float(series["value"][1]) for series in answer["data"]["result"]]

    def wait_for_scrape(self) -> float:
        """A moment at which Prometheus had scraped every worker."""
        self.wait_until(lambda: self.query('up{job="streakline"} == 1') == [1.0] * len(self.stack.workers))
        return time.time()

    def firing(self) -> set[Alert]:
        """What Alertmanager has as firing, inhibited or not, less the heartbeat; nothing while it does not answer."""
        assert self.stack.alerting is not None
        alerts = _json(f"{self.stack.alerting.alertmanager_url}/api/v2/alerts") or []
        found = {
            Alert(each["labels"]["alertname"], each["labels"].get("run_id"), each["labels"].get("type"))
            for each in alerts
        }
        return {alert for alert in found if alert.name != "StreaklineHeartbeat"}

    def told(self, receiver: Receiver) -> list[Page]:
        """Every alert in every message that `receiver` has got, firing or resolved."""
        return [page for each in self.notifications if each.receiver == receiver for page in each.pages]


@contextlib.contextmanager
def running(
    folder: Path,
    alerting: AlertingSettings = ANY_PORTS,
    *,
    workers: int = 1,
    diffing: DiffingSettings | None = None,
    archiving: ArchivingSettings | None = None,
) -> Iterator[Running]:
    """A stack for as long as the block runs."""
    running = Running(folder, alerting, workers=workers, diffing=diffing, archiving=archiving)
    try:
        with running.stack:
            yield running
    finally:
        forget_topics(running.stack.kafka, running.stack.topics.topic_prefix)


def _json(url: str) -> Any:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return json.load(response)
    except OSError:
        return None
