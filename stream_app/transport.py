"""Faust's Kafka transport with six changes.

It does not wait 1.5 s for a fetch, it finds the start of a partition that nothing was committed for, it takes batches
of a bounded size only, it sends again what a mute connection has swallowed, it does not die of looking for a livelock,
and it gets along with Tansu.
"""

import ssl
from collections.abc import Mapping
from typing import Any, ClassVar

import aiokafka
import faust
from aiokafka import TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from producers.kafka import KafkaSettings
from stream_app import bounded_batches, tansu

FETCH_WAIT_MS = 20


class _ConsumerThread(driver.AIOKafkaConsumerThread):
    def _create_worker_consumer(self, transport: driver.Transport) -> aiokafka.AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        # Faust has 1,500 ms here and no setting for it. A broker that does not wake a waiting fetch when
        # a record arrives (Tansu) then takes half of that to deliver it.
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS  # noqa: SLF001
        bounded_batches.install()
        return consumer

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek every partition to its committed offset, or to its first record where there is none.

        aiokafka leaves a partition without one where it is. Faust fetches records while its flow is stopped, drops
        them, and relies on this to have them again: they were never judged, and the next commit went past them.
        """
        committed = await super().seek_to_committed()
        unread = [tp for tp, offset in committed.items() if not offset and not self._is_changelog(tp)]
        if unread:
            await self.call_thread(self._ensure_consumer().seek_to_beginning, *unread)
        return committed

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Nothing: Faust logs there what /readyz tells, and dies of a partition whose position is not set yet."""

    def _is_changelog(self, partition: TopicPartition) -> bool:
        # Their positions are what recovery has set.
        return partition.topic in self.app.tables.changelog_topics


class _TansuConsumerThread(_ConsumerThread):
    async def _highwaters(self, partitions: list[TP]) -> Mapping[TP, int]:
        bootstrap = ",".join(f"{url.host}:{url.port}" for url in self.transport.url)
        let_in = driver.credentials_to_aiokafka_auth(self.app.conf.broker_credentials)
        ends: Mapping[TP, int] = await tansu.end_offsets(bootstrap, let_in, partitions)
        return ends


class _Consumer(driver.Consumer):
    def _new_consumer_thread(self) -> _ConsumerThread:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon)


class _TansuConsumer(driver.Consumer):
    def _new_consumer_thread(self) -> _TansuConsumerThread:
        return _TansuConsumerThread(self, loop=self.loop, beacon=self.beacon)


class _Producer(driver.Producer):
    def _new_producer(self, transactional_id: str | None = None) -> aiokafka.AIOKafkaProducer:
        producer = super()._new_producer(transactional_id)
        # Faust has one time limit for an answer and for the life of a record: 20 minutes. That is right for a record,
        # and as long as a worker stands still on a connection that is open and mute.
        timeout_ms = int(self.app.conf.broker_request_timeout * 1000)
        producer.client._request_timeout_ms = timeout_ms  # noqa: SLF001
        producer._sender._request_timeout_ms = timeout_ms  # noqa: SLF001
        return producer


class KafkaTransport(driver.Transport):
    """For Apache Kafka."""

    Producer: ClassVar[Any] = _Producer
    Consumer: ClassVar[Any] = _Consumer


class TansuTransport(driver.Transport):
    """For Tansu."""

    Producer: ClassVar[Any] = _Producer
    Consumer: ClassVar[Any] = _TansuConsumer


def credentials(kafka: KafkaSettings) -> faust.types.auth.CredentialsT | None:
    """The settings' TLS and SASL as Faust takes them. Raises OSError for a certificate file that cannot be read."""
    context = None
    if kafka.uses_tls:
        context = ssl.create_default_context(cafile=kafka.kafka_ssl_ca)
        if kafka.kafka_ssl_certificate:
            context.load_cert_chain(kafka.kafka_ssl_certificate, kafka.kafka_ssl_key)
    if kafka.uses_sasl:
        return faust.SASLCredentials(
            username=kafka.kafka_sasl_username,
            password=kafka.kafka_sasl_password,
            ssl_context=context,
            mechanism=kafka.kafka_sasl_mechanism,
        )
    return None if context is None else faust.SSLCredentials(context=context)
