"""Faust's Kafka transport, changed where it is slow (the wait for a fetch, the delivery of a record) and for Tansu."""

import asyncio
import ssl
from collections.abc import Coroutine, Generator, Mapping
from functools import partial
from typing import Any, ClassVar

import aiokafka
import faust
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode.services import WaitResults

from producers.kafka import KafkaSettings
from stream_app import tansu

FETCH_WAIT_MS = 20
FULL_QUEUE_PAUSE_SECONDS = 0.02


class _ConsumerThread(driver.AIOKafkaConsumerThread):
    def _create_worker_consumer(self, transport: driver.Transport) -> aiokafka.AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        # Faust has 1,500 ms here and no setting for it. A broker that does not wake a waiting fetch when
        # a record arrives (Tansu) then takes half of that to deliver it.
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS  # noqa: SLF001
        return consumer


class _TansuConsumerThread(_ConsumerThread):
    async def _highwaters(self, partitions: list[TP]) -> Mapping[TP, int]:
        bootstrap = ",".join(f"{url.host}:{url.port}" for url in self.transport.url)
        ends: Mapping[TP, int] = await tansu.end_offsets(bootstrap, partitions)
        return ends


class _Rest:
    """What is left of a coroutine that has been run up to where it waits for `pending`."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], pending: Any) -> None:
        self._coroutine = coroutine
        self._pending = pending

    def __await__(self) -> Generator[Any, Any, Any]:
        pending = self._pending
        while True:
            try:
                value = yield pending
            except BaseException as error:
                step = partial(self._coroutine.throw, error)
            else:
                step = partial(self._coroutine.send, value)
            try:
                pending = step()
            except StopIteration as stop:
                return stop.value


class _Consumer(driver.Consumer):
    async def wait_first(self, *waits: Any, timeout: Any = None) -> WaitResults:  # noqa: ASYNC109
        """As Faust's, without its four tasks for every record.

        For each record that it reads, Faust waits for the delivery to a stream's queue or for the flow to be
        suspended, whichever is first. While there is room in the queue the delivery ends without waiting for
        anything, so it is tried first; once the queue is full, it is given time to make room for more than one.
        """
        if len(waits) != 2 or not all(map(asyncio.iscoroutine, waits)):
            return await super().wait_first(*waits, timeout=timeout)
        delivery, suspension = waits
        try:
            pending = delivery.send(None)
        except StopIteration:
            suspension.close()
            return WaitResults([], [], stopped=self.should_stop)
        except BaseException:
            suspension.close()
            raise
        results = await super().wait_first(_Rest(delivery, pending), suspension, timeout=timeout)
        await asyncio.sleep(FULL_QUEUE_PAUSE_SECONDS)
        return results

    def _new_consumer_thread(self) -> _ConsumerThread:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon)


class _TansuConsumer(_Consumer):
    def _new_consumer_thread(self) -> _TansuConsumerThread:
        return _TansuConsumerThread(self, loop=self.loop, beacon=self.beacon)


class KafkaTransport(driver.Transport):
    """For Apache Kafka."""

    Consumer: ClassVar[Any] = _Consumer


class TansuTransport(driver.Transport):
    """For Tansu."""

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
