"""Three real Apache Kafka brokers on this machine, from the distribution that STREAKLINE_TEST_KAFKA_HOME names.

Each is broker and controller at once (KRaft, combined mode), so that two of them are enough to go on.
"""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import ElectionType, KafkaException
from confluent_kafka.admin import AdminClient

from producers.kafka import KafkaSettings, client_config
from streakline.processes import free_port, is_listening, spawn, stop
from tests.worker import wait_until

NODES = (1, 2, 3)
_CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qg"
_STARTED_WITHIN_SECONDS = 180.0
_STOPPED_WITHIN_SECONDS = 120.0
_ANSWERS_WITHIN_SECONDS = 10


def kafka_home() -> Path | None:
    """Where the distribution is unpacked, where there is one: Apache Kafka 3.8 or later, for Java 17."""
    named = os.environ.get("STREAKLINE_TEST_KAFKA_HOME")
    return Path(named) if named else None


class KafkaCluster:
    """The brokers by their node ids; a topic with three replicas is on all of them."""

    def __init__(self, home: Path, folder: Path) -> None:
        self._home = home
        self._folder = folder
        self._ports = {node: free_port() for node in NODES}
        self._controllers = {node: free_port() for node in NODES}
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self.kafka = KafkaSettings(kafka_bootstrap=",".join(f"127.0.0.1:{port}" for port in self._ports.values()))

    def format(self) -> None:
        """Make the folders of all brokers."""
        for node in NODES:
            self._properties(node).write_text(self._configuration(node))
            program = str(self._home / "bin/kafka-storage.sh")
            command = [program, "format", "-t", _CLUSTER_ID, "-c", str(self._properties(node))]
            subprocess.run(command, check=True, capture_output=True, env={**os.environ, **self._environ(node)})

    def start(self, node: int) -> None:
        """Start one that does not run."""
        command = [self._home / "bin/kafka-server-start.sh", self._properties(node)]
        self._processes[node] = spawn(command, log=self._log(node), environ=self._environ(node))

    def kill(self, node: int) -> None:
        """End it without a chance to do anything about it."""
        self._processes[node].send_signal(signal.SIGKILL)
        self._processes[node].wait()

    def shut_down(self, node: int) -> None:
        """End it in good order: it hands over what it leads first."""
        stop(self._processes[node], timeout_seconds=_STOPPED_WITHIN_SECONDS)

    def wait_until_whole(self) -> None:
        """Wait until all brokers are there, and each has all that the others have."""
        wait_until(self._is_whole, timeout_seconds=_STARTED_WITHIN_SECONDS)

    def leaders(self, topic: str) -> dict[int, int]:
        """Partition → node."""
        metadata = self._admin().list_topics(topic, timeout=_ANSWERS_WITHIN_SECONDS).topics[topic]
        return {number: partition.leader for number, partition in metadata.partitions.items()}

    def elect_preferred_leaders(self) -> None:
        """Give every partition back to the broker that led it when it was made."""
        # A client that nobody holds takes its answers with it.
        admin = self._admin()
        admin.elect_leaders(ElectionType.PREFERRED).result(_STARTED_WITHIN_SECONDS)

    def close(self) -> None:
        """Stop all that runs; what they hold is thrown away."""
        for process in self._processes.values():
            process.kill()
            process.wait()

    def _is_whole(self) -> bool:
        for node, process in self._processes.items():
            assert process.poll() is None, self._log(node).read_text()[-5_000:]
        if not all(map(is_listening, self._ports.values())):
            return False
        try:
            metadata = self._admin().list_topics(timeout=_ANSWERS_WITHIN_SECONDS)
        except KafkaException:
            return False
        partitions = [each for topic in metadata.topics.values() for each in topic.partitions.values()]
        return len(metadata.brokers) == len(NODES) and all(set(each.isrs) == set(each.replicas) for each in partitions)

    def _admin(self) -> AdminClient:
        return AdminClient(client_config(self.kafka))

    def _properties(self, node: int) -> Path:
        return self._folder / f"{node}.properties"

    def _log(self, node: int) -> Path:
        return self._folder / f"{node}.log"

    def _environ(self, node: int) -> dict[str, str]:
        return {"KAFKA_HEAP_OPTS": "-Xms256m -Xmx512m", "LOG_DIR": str(self._folder / f"logs-{node}")}

    def _configuration(self, node: int) -> str:
        voters = ",".join(f"{each}@127.0.0.1:{port}" for each, port in self._controllers.items())
        settings = {
            "process.roles": "broker,controller",
            "node.id": node,
            "controller.quorum.voters": voters,
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://127.0.0.1:{self._ports[node]},CONTROLLER://127.0.0.1:{self._controllers[node]}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self._ports[node]}",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": self._folder / f"data-{node}",
            "auto.create.topics.enable": "false",
            # The tests say who leads, and when that changes.
            "auto.leader.rebalance.enable": "false",
            "offsets.topic.num.partitions": 8,
            "offsets.topic.replication.factor": 3,
            "transaction.state.log.replication.factor": 3,
            "transaction.state.log.min.isr": 2,
            "group.initial.rebalance.delay.ms": 0,
        }
        return "".join(f"{name}={value}\n" for name, value in settings.items())


@contextmanager
def running_cluster(home: Path, folder: Path) -> Iterator[KafkaCluster]:
    """All brokers, whole, for as long as the block runs."""
    cluster = KafkaCluster(home, folder)
    cluster.format()
    try:
        for node in NODES:
            cluster.start(node)
        cluster.wait_until_whole()
        yield cluster
    finally:
        cluster.close()
