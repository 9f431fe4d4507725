"""The Faust application: what it is made of, and how a worker runs it."""

import asyncio
import gc
import logging
from typing import NoReturn

import faust
import mode.loop
from faust.types import TransportT
from prometheus_client import CollectorRegistry, ProcessCollector
from yarl import URL

from producers.kafka import KafkaSettings
from producers.logs import log_to_stderr
from producers.stalls import StallWatch
from producers.status_server import StatusServer
from producers.tansu import is_tansu
from producers.topics import (
    PROJECTS_TABLE,
    STATE_TABLE,
    TopicSettings,
    check_topics,
    cluster_metadata,
    partitions_in,
    stream_app_id,
    topic_names,
)
from stream_app import histories, records
from stream_app.broker_watch import BrokerWatch
from stream_app.category_metrics import CategoryMetrics
from stream_app.engine.thresholds import load_policy
from stream_app.installed import installed_detectors
from stream_app.metrics import StreamMetrics
from stream_app.mirror import Mirror
from stream_app.recovery import EndingTableManager
from stream_app.regressions import RegressionsAgent
from stream_app.run_metrics import RunMetrics
from stream_app.settings import StreamSettings
from stream_app.standstill_watch import StandstillWatch
from stream_app.status import WorkerStatus
from stream_app.steps import StepsAgent
from stream_app.tables import ReplicatedTable
from stream_app.transport import KafkaTransport, TansuTransport, credentials

# A whole run's state or a refused record may be larger than any event.
_MAX_REQUEST_BYTES = 32 << 20


class StreamApp(faust.App):
    """A Faust application on our transport; it says so where its event loop no longer turns."""

    transport_class: type[KafkaTransport] | type[TansuTransport] = KafkaTransport
    status_server: StatusServer | None = None
    mirror: Mirror | None = None
    stalls: StallWatch
    standstill: StandstillWatch

    async def on_first_start(self) -> None:
        """Answer HTTP, and show live runs, from now on.

        Not before: a thread that asks Faust for its event loop while there is none gives it one that nobody runs,
        and the worker then stands still for ever.
        """
        await super().on_first_start()
        self.loop = asyncio.get_running_loop()
        self.stalls.beat_with(self.loop)
        self.stalls.start()
        self.standstill.start()
        if self.status_server is not None:
            self.status_server.start()
        if self.mirror is not None:
            self.mirror.start()

    def _new_transport(self) -> TransportT:
        return self.transport_class(self.conf.broker_consumer, self)

    def _new_producer_transport(self) -> TransportT:
        return self.transport_class(self.conf.broker_producer, self)


class StreamWorker(faust.Worker):
    """A Faust worker that logs as we do and draws no spinner."""

    def on_setup_root_logger(self, logger: logging.Logger, level: int) -> None:  # noqa: ARG002
        """As every worker of ours."""
        self.spinner = None
        log_to_stderr(level)


def run_worker(kafka: KafkaSettings, topics: TopicSettings, settings: StreamSettings) -> NoReturn:
    """Run one stream worker until SIGTERM or Ctrl-C; ends the process.

    Raises `TopicsError` where the broker is away or the topics are not as they have to be, ValueError for
    thresholds or installed detectors that cannot be right, `RedisAway` for a URL that cannot be one, OSError where a
    file or port cannot be had; all before anything is read.
    """
    on_tansu = _check_broker(kafka, topics)
    run_app(make_app(kafka, topics, settings, on_tansu=on_tansu), settings)


def run_app(app: StreamApp, settings: StreamSettings) -> NoReturn:
    """Run the application until SIGTERM or Ctrl-C; ends the process."""
    mode.loop.use("uvloop")
    # What is there by now stays: looking through it for garbage held up the event loop for 35 to 60 ms each time.
    gc.collect()
    gc.freeze()
    worker = StreamWorker(app, loglevel=settings.log_level, redirect_stdouts=False, loop=asyncio.new_event_loop())
    worker.execute_from_commandline()


def make_app(kafka: KafkaSettings, topics: TopicSettings, settings: StreamSettings, *, on_tansu: bool) -> StreamApp:
    """The application, not started. Raises as `run_worker` does."""
    installed = installed_detectors()
    policy = load_policy(settings.thresholds_path, [each.judge for each in installed])
    names = topic_names(topics)
    # Tables of the same name under another prefix are others; and Faust makes the last folder only.
    data_path = settings.data_path / stream_app_id(topics)
    data_path.mkdir(parents=True, exist_ok=True)
    broker_timeout = max(settings.broker_timeout_seconds, settings.session_timeout_seconds)
    app = StreamApp(
        stream_app_id(topics),
        broker=[URL(f"aiokafka://{server.strip()}") for server in kafka.kafka_bootstrap.split(",")],
        broker_credentials=credentials(kafka),
        datadir=data_path,
        store="rocksdb://",
        web_enabled=False,
        topic_partitions=topics.partitions,
        topic_replication_factor=topics.replication,
        topic_disable_leader=True,
        # They are there, which was seen to; Faust would ask for each again, and wait for the answer for 20 minutes.
        topic_allow_declare=False,
        # Faust empties a standby's queue each time the flow resumes: it would take over with a state of gaps.
        table_standby_replicas=0,
        TableManager=EndingTableManager,
        processing_guarantee="at_least_once",
        broker_commit_interval=1.0,
        broker_session_timeout=settings.session_timeout_seconds,
        broker_heartbeat_interval=settings.session_timeout_seconds / 6,
        # On a connection that is open and mute Faust would wait for 90 s.
        broker_request_timeout=broker_timeout,
        # Who joins is answered when all have joined, or this is over: before the request is given up.
        broker_rebalance_timeout=0.8 * broker_timeout,
        # Waiting for a batch to be acknowledged can hang a rebalance; what is not, comes again.
        stream_wait_empty=False,
        # Recovery sticks where it looks for the latest offset of a changelog that was trimmed.
        consumer_auto_offset_reset="earliest",
        producer_compression_type=None if kafka.kafka_compression == "none" else kafka.kafka_compression,
        producer_max_request_size=_MAX_REQUEST_BYTES,
    )
    app.transport_class = TansuTransport if on_tansu else KafkaTransport
    registry = CollectorRegistry()
    watch = BrokerWatch(kafka, names.steps, topics.partitions, stream_app_id(topics))
    app.stalls = StallWatch("the event loop", settings.stall_seconds)
    status = WorkerStatus(app, names.steps, watch, app.stalls)
    app.standstill = StandstillWatch(status.progress, lambda: watch.silent_seconds, settings.standstill_seconds)
    watch.start()
    metrics = StreamMetrics(names.steps, names.diffs, registry, installed)
    if settings.live:
        app.mirror = Mirror(settings.redis_url, topics.topic_prefix, settings.per_run_limit, metrics)
        _connect_mirror(app, app.mirror)
    runs = ReplicatedTable(app, STATE_TABLE, names.state_changelog, topics.partitions, is_behind=records.is_behind)
    steps = StepsAgent(
        app=app,
        topics=names,
        table=runs,
        policy=policy,
        settings=settings,
        metrics=metrics,
        status=status,
        mirror=app.mirror,
    )
    projects = ReplicatedTable(
        app, PROJECTS_TABLE, names.projects_changelog, topics.partitions, is_behind=histories.is_behind
    )
    regressions = RegressionsAgent(
        app=app, topics=names, table=projects, settings=settings, metrics=metrics, status=status
    )
    app.agent(_raw_topic(app, names.steps), name="steps", concurrency=1)(steps.run)
    app.agent(_raw_topic(app, names.diffs), name="regressions", concurrency=1)(regressions.run)
    runs.on_recovered(steps.on_recovered)
    projects.on_recovered(regressions.on_recovered)
    app.timer(settings.expiry_interval_seconds)(steps.delete_expired)
    if settings.metrics_port is not None:
        run_metrics = RunMetrics(steps.runs, settings.per_run_metrics, settings.per_run_limit)
        category_metrics = CategoryMetrics(regressions.histories, settings.per_run_metrics, settings.per_run_limit)
        registry.register(status)
        ProcessCollector(registry=registry)
        app.status_server = StatusServer(
            settings.metrics_host,
            settings.metrics_port,
            registry,
            healthy=status.health,
            ready=status.readiness,
            more=lambda: run_metrics() + category_metrics(),
        )
    return app


def _connect_mirror(app: StreamApp, mirror: Mirror) -> None:
    """Have it know what becomes of the worker; to be recovered is the agent's to say."""

    async def on_revoked(*_: object, **__: object) -> None:
        mirror.revoked()

    async def on_before_shutdown(*_: object, **__: object) -> None:
        await asyncio.to_thread(mirror.close)

    app.on_partitions_revoked.connect(on_revoked)
    app.on_before_shutdown.connect(on_before_shutdown)


def _raw_topic(app: StreamApp, name: str) -> faust.TopicT:
    return app.topic(name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")


def _check_broker(kafka: KafkaSettings, topics: TopicSettings) -> bool:
    """Whether the broker is Tansu. Raises `TopicsError` where it is away or a topic is not as it has to be."""
    cluster = cluster_metadata(kafka)
    check_topics(partitions_in(cluster), topics)
    return is_tansu(cluster.cluster_id)
