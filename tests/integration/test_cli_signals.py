import json
import signal as signals
from collections.abc import Iterable

import pytest
from confluent_kafka import Producer

from producers.codec import encode
from producers.events import Signal
from producers.kafka import KafkaSettings, producer_config
from producers.topics import TopicSettings, topic_names
from stream_app.engine.replay import signals_of, steps
from tests.commands import Ended, settings_environ, start, streakline

FOUND = list(
    signals_of(
        [
            *steps(loss=[1.0 + 0.1 * i for i in range(50)], run_id="diverging"),
            *steps(loss=[2.0 + i % 3 for i in range(10)] + [float("nan")], run_id="exploding"),
            *steps(loss=[2.0 + i % 3 for i in range(9)], grad_norms=[{"x\x1b[2J": 0.0}] * 9, run_id="dead"),
        ]
    )
)


def write(kafka: KafkaSettings, topics: TopicSettings, values: Iterable[Signal | bytes]) -> None:
    producer = Producer(producer_config(kafka))
    for value in values:
        raw = value if isinstance(value, bytes) else encode(value)
        producer.produce(topic_names(topics).signals, raw, None if isinstance(value, bytes) else value.run_id)
    producer.flush()


@pytest.fixture
def environ(kafka: KafkaSettings, topics: TopicSettings) -> dict[str, str]:
    # Written twice: what a crash between the signal and the commit leaves behind.
    write(kafka, topics, [*FOUND, b"no signal", *FOUND])
    return settings_environ(kafka, topics)


def ids(ended: Ended) -> list[str]:
    return sorted(json.loads(line)["signal_id"] for line in ended.lines)


def test_a_table_shows_every_signal_once(environ: dict[str, str]) -> None:
    ended = streakline("signals", environ=environ)
    assert ended.code == 0
    header, *rows = ended.lines
    assert header.split() == ["time", "run", "step", "type", "severity", "message"]
    assert len(rows) == len(FOUND)
    assert "\x1b" not in ended.out
    assert r"x\x1b[2J" in ended.out


def test_records_that_are_no_signals_are_left_out_aloud(environ: dict[str, str]) -> None:
    ended = streakline("signals", environ=environ)
    assert (
        ended.err == f"streakline: left out 1 record of {environ['STREAKLINE_TOPIC_PREFIX']}signals "
        "that could not be read\n"
    )


def test_json_gives_the_signals_themselves(environ: dict[str, str]) -> None:
    ended = streakline("signals", "--json", environ=environ)
    assert sorted(ended.lines) == sorted(encode(signal).decode() for signal in FOUND)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (["exploding"], lambda signal: signal.run_id == "exploding"),
        (["--type", "loss_diverging"], lambda signal: signal.type == "loss_diverging"),
        (["--severity", "warning"], lambda signal: signal.severity == "warning"),
        (["--severity", "critical", "diverging"], lambda signal: signal.run_id == "diverging"),
        (["--project", "default"], lambda _: True),
        (["--project", "other"], lambda _: False),
    ],
)
def test_filters(environ: dict[str, str], filters: list[str], expected: object) -> None:
    assert callable(expected)
    ended = streakline("signals", "--json", *filters, environ=environ)
    assert ended.code == 0
    assert ids(ended) == sorted(signal.signal_id for signal in FOUND if expected(signal))


def test_an_unknown_run_has_none(environ: dict[str, str]) -> None:
    ended = streakline("signals", "no\x1bsuch", environ=environ)
    assert (ended.code, ended.out) == (0, "")
    assert ended.err.endswith("there are no signals of run no\\x1bsuch\n")
    filtered = streakline("signals", "dead", "--severity", "critical", environ=environ)
    assert filtered.err.endswith("there are no signals of run dead like that\n")


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_following_prints_signals_as_they_come(
    kafka: KafkaSettings, topics: TopicSettings, options: tuple[str, ...]
) -> None:
    first, second = FOUND[0], FOUND[-1]
    write(kafka, topics, [first])
    with start("signals", "--follow", *options, environ=settings_environ(kafka, topics)) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert first.run_id.encode() in process.stdout.readline()
        write(kafka, topics, [first, second])
        assert second.run_id.encode() in process.stdout.readline()
        process.send_signal(signals.SIGINT)
        assert (process.wait(), process.stdout.read(), process.stderr.read()) == (130, b"", b"")


def test_topics_that_are_missing_are_one_sentence(kafka: KafkaSettings) -> None:
    ended = streakline("signals", environ=settings_environ(kafka, TopicSettings(topic_prefix="nowhere.")))
    assert (ended.code, ended.out) == (3, "")
    assert ended.err.startswith("streakline: there is no topic nowhere.signals on the broker at ")
    assert ended.err.count("\n") == 1
