"""`streakline dead-letters requeue`: the same bytes on the topic they came from, in order, and nowhere else."""

import signal
import uuid
from collections.abc import Sequence
from typing import Any

import pytest
from confluent_kafka import Message, Producer
from confluent_kafka.admin import AdminClient
from msgspec.structs import replace

from producers.acknowledged import AcknowledgedProducer
from producers.dead_letters import MAX_LETTER_BYTES, MAX_VALUE_BYTES, LetterId, Source, letter_of
from producers.kafka import KafkaSettings, client_config, producer_config
from producers.reader import read_topic
from producers.topics import Topics, TopicSettings, ensure_topics, partition_counts, topic_names, topic_specs
from streakline.broker import start_broker
from streakline.processes import free_port, stop
from tests.commands import Ended, settings_environ, streakline
from tests.worker import header

HOSTILE = b'{"run_id": "\x1b]0;owned\x07'


class Post:
    """The letters of one prefix, as workers write them: all on the partition of their key."""

    def __init__(self, kafka: KafkaSettings, topics: TopicSettings) -> None:
        self.kafka = kafka
        self.names: Topics = topic_names(topics)
        self.environ = settings_environ(kafka, topics)

    def write(self, *letters: tuple[Source, str]) -> None:
        producer = Producer(producer_config(self.kafka) | {"message.max.bytes": MAX_LETTER_BYTES})
        for source, reason in letters:
            letter = letter_of(source, reason, "why")
            producer.produce(self.names.dead_letters, letter.value, letter.key, headers=[*letter.headers])
        assert producer.flush(30) == 0

    def letters(self) -> list[Message]:
        return list(read_topic(self.kafka, self.names.dead_letters))

    def ids(self) -> dict[bytes | None, str]:
        """Value → id of its letter."""
        return {each.value(): str(LetterId(each.partition() or 0, each.offset() or 0)) for each in self.letters()}

    def on(self, topic: str) -> list[tuple[bytes | None, bytes | None, str]]:
        """Key, value and `requeued-from` of its records."""
        return [(each.key(), each.value(), header(each, "requeued-from")) for each in read_topic(self.kafka, topic)]

    def requeue(self, *arguments: str) -> Ended:
        return streakline("dead-letters", "requeue", *arguments, environ=self.environ)

    def source(self, number: int, topic: str | None = None, key: bytes | None = b"run") -> Source:
        return Source(topic or self.names.steps, 0, number, key, b'{"step": %d' % number)


@pytest.fixture
def post(kafka: KafkaSettings, topics: TopicSettings) -> Post:
    return Post(kafka, topics)


def values(records: Sequence[tuple[bytes | None, bytes | None, str]]) -> list[bytes | None]:
    return [value for _, value, _ in records]


def test_all_go_back_where_they_came_from_as_they_were_and_in_order(post: Post) -> None:
    steps = [post.source(number) for number in range(300)]
    others = [
        post.source(1001, post.names.diffs, b"project"),
        replace(post.source(1002, post.names.runs), value=HOSTILE),
        replace(post.source(1003, post.names.runs, None), value=None),
    ]
    post.write(*((source, "failed") for source in [*steps, *others]))
    ids = post.ids()

    rehearsed = post.requeue("--all", "--dry-run")
    assert (rehearsed.code, rehearsed.err) == (0, "")
    assert sorted(rehearsed.lines) == sorted(
        f"{ids[source.value]} would go to {source.topic}" for source in [*steps, *others]
    )
    assert post.on(post.names.steps) == post.on(post.names.diffs) == post.on(post.names.runs) == []

    ended = post.requeue("--all")
    assert (ended.code, ended.err) == (0, "")
    assert ended.lines == [
        f"requeued 1 letter on {post.names.diffs}",
        f"requeued 2 letters on {post.names.runs}",
        f"requeued 300 letters on {post.names.steps}",
    ]
    assert post.on(post.names.steps) == [(each.key, each.value, ids[each.value]) for each in steps]
    assert post.on(post.names.diffs) == [(b"project", others[0].value, ids[others[0].value])]
    assert sorted(post.on(post.names.runs), key=repr) == sorted(
        [(b"run", HOSTILE, ids[HOSTILE]), (None, None, ids[None])], key=repr
    )
    assert len(post.letters()) == 303


def test_some_are_chosen_by_id_by_reason_and_by_topic(post: Post) -> None:
    for number, (topic, reason) in enumerate(
        [(post.names.steps, "failed"), (post.names.steps, "invalid"), (post.names.runs, "failed")]
    ):
        post.write((post.source(number, topic), reason))
    ids = post.ids()
    wanted = [ids[b'{"step": 1'], ids[b'{"step": 0']]
    assert post.requeue(*wanted).lines == [f"requeued 2 letters on {post.names.steps}"]
    # As they lie there, and not as they were named.
    assert values(post.on(post.names.steps)) == [b'{"step": 0', b'{"step": 1']
    assert post.requeue("--reason", "failed", "--source-topic", post.names.runs).lines == [
        f"requeued 1 letter on {post.names.runs}"
    ]
    assert post.requeue("--reason", "invalid").lines == [f"requeued 1 letter on {post.names.steps}"]
    assert values(post.on(post.names.steps)) == [b'{"step": 0', b'{"step": 1', b'{"step": 1']
    assert values(post.on(post.names.runs)) == [b'{"step": 2']
    nothing = post.requeue("--reason", "too_large")
    assert (nothing.code, nothing.out, nothing.err) == (0, "", "there is nothing to requeue\n")


def test_what_came_back_is_listed_and_left_out_unless_it_is_named(post: Post) -> None:
    post.write((post.source(1), "invalid"))
    (first,) = post.ids().values()
    again = replace(post.source(1), offset=7, requeued_from=LetterId(*map(int, first.split(":"))))
    post.write((again, "invalid"))
    listed = streakline("dead-letters", "list", environ=post.environ).lines
    assert [first in line.split()[1:] for line in listed[1:]] == [False, True]
    ended = post.requeue("--all")
    assert (ended.code, ended.out) == (0, "")
    assert ended.err == (
        "left out 2 letters that came back after a requeue: name them by their ids\nthere is nothing to requeue\n"
    )
    assert post.requeue(first).lines == [f"requeued 1 letter on {post.names.steps}"]
    assert len(post.on(post.names.steps)) == 1


def test_what_cannot_be_requeued_is_told_of_and_all_else_is(post: Post) -> None:
    whole = b"x" * MAX_VALUE_BYTES
    elsewhere = post.source(1, post.names.signals)
    cut = replace(post.source(2), value=whole + b"x")
    post.write((elsewhere, "failed"), (cut, "too_large"), (post.source(3), "failed"))
    ids = post.ids()
    ended = post.requeue("--all")
    assert (ended.code, ended.lines) == (1, [f"requeued 1 letter on {post.names.steps}"])
    sources = f"{post.names.steps}, {post.names.diffs}, {post.names.runs}"
    assert ended.err.splitlines() == [
        f"streakline: {ids[elsewhere.value]} cannot be requeued: it does not say that it came from {sources}",
        f"streakline: {ids[whole]} cannot be requeued: only 4,194,304 bytes of its 4,194,305 were kept",
        "streakline: 2 letters cannot be requeued (above): publish by hand what is wanted",
    ]
    assert post.on(post.names.signals) == []
    assert values(post.on(post.names.steps)) == [b'{"step": 3']


def test_where_one_of_those_named_is_not_there_nothing_is_published(post: Post) -> None:
    post.write((post.source(1), "failed"))
    (there,) = post.ids().values()
    ended = post.requeue(there, "0:999")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("streakline: there is no dead letter 0:999: ")
    assert post.on(post.names.steps) == []


def test_a_topic_that_is_missing_is_not_made(kafka: KafkaSettings) -> None:
    topics = TopicSettings(topic_prefix=f"half-{uuid.uuid4().hex[:8]}.", partitions=1)
    post, admin = Post(kafka, topics), AdminClient(client_config(kafka))
    (letters,) = (spec for spec in topic_specs(topics) if spec.topic == post.names.dead_letters)
    admin.create_topics([letters])[post.names.dead_letters].result(30)
    post.write((post.source(1), "failed"))
    ended = post.requeue("--all")
    assert (ended.code, ended.out) == (3, "")
    assert f"there is no topic {post.names.steps} " in ended.err
    assert post.names.steps not in partition_counts(kafka)


def test_a_broker_that_goes_silent_is_one_sentence_and_what_it_has_is_a_beginning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = free_port()
    broker = start_broker(port)
    kafka, topics = KafkaSettings(kafka_bootstrap=f"127.0.0.1:{port}"), TopicSettings(partitions=1)
    ensure_topics(kafka, topics)
    post = Post(kafka, topics)
    sources = [post.source(number) for number in range(500)]
    post.write(*((source, "failed") for source in sources))
    monkeypatch.setattr("streakline.cli.dead_letters_requeue._ACKNOWLEDGED_WITHIN_SECONDS", 2.0)
    send = AcknowledgedProducer.send

    def send_until_silent(producer: AcknowledgedProducer, *record: Any) -> None:
        send(producer, *record)
        if producer.records == 100:
            broker.send_signal(signal.SIGSTOP)

    monkeypatch.setattr(AcknowledgedProducer, "send", send_until_silent)
    try:
        ended = post.requeue("--all")
        broker.send_signal(signal.SIGCONT)
        assert ended.code == 3
        assert "the broker did not acknowledge " in ended.err
        assert "then requeue the same letters again" in ended.err
        arrived = values(post.on(post.names.steps))
        assert arrived == [source.value for source in sources[: len(arrived)]]
        assert len(arrived) < 500
    finally:
        broker.send_signal(signal.SIGCONT)
        stop(broker)
