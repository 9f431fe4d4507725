"""What a stream worker makes of letters that were requeued: judged where the run waited, ignored where it went on."""

from pathlib import Path

from producers.codec import encode
from producers.events import StepEvent
from producers.kafka import KafkaSettings
from producers.reader import read_topic
from producers.topics import TopicSettings, topic_names
from stream_app.engine.replay import signals_of, steps
from tests.commands import settings_environ, streakline
from tests.publishing import publish, publish_to, signals_on
from tests.worker import header, running_worker, wait_until
from tests.workload import Published

# It fails on the last steps of a run that waits, and on one step of a run that goes on.
BAD_DEPLOY = """
import stream_app.judging
from stream_app.engine.evaluate import evaluate
from streakline.cli.main import main

def fail(state, event, policy):
    if (event.run_id, event.step) == ("goes-on", 3) or (event.run_id == "waits" and event.step >= 6):
        raise KeyError("loss")
    return evaluate(state, event, policy)

stream_app.judging.evaluate = fail
main()
"""


def as_records(events: list[StepEvent]) -> list[Published]:
    return [Published(event.run_id.encode(), encode(event)) for event in events]


def test_a_run_that_waited_is_judged_as_if_nothing_had_happened_and_a_late_step_is_ignored(
    kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path
) -> None:
    dead_letters = topic_names(topics).dead_letters
    waits = steps(loss=[float(step) for step in range(12)], run_id="waits")
    goes_on = steps(loss=[12.0 - step if step != 3 else float("nan") for step in range(12)], run_id="goes-on")
    data = tmp_path / "data"
    with running_worker(kafka, topics, data, program=("-c", BAD_DEPLOY, "stream")) as worker:
        worker.wait_for_events(publish(kafka, topics, as_records([*waits, *goes_on])))
    assert [header(letter, "reason") for letter in read_topic(kafka, dead_letters)] == ["failed"] * 7
    assert signals_on(kafka, topics) == []

    with running_worker(kafka, topics, data) as worker:
        worker.wait_until_ready()
        ended = streakline("dead-letters", "requeue", "--all", environ=settings_environ(kafka, topics))
        assert (ended.code, ended.lines) == (0, [f"requeued 7 letters on {topic_names(topics).steps}"])
        worker.wait_for_events(7)
        assert worker.counter("streakline_ignored_events_total") == 1
        # Twice does no harm: every step is known by now.
        streakline("dead-letters", "requeue", "--all", environ=settings_environ(kafka, topics))
        worker.wait_for_events(14)
        assert worker.counter("streakline_ignored_events_total") == 8
    emitted = {signal.signal_id: encode(signal) for signal in signals_on(kafka, topics)}
    whole = {signal.signal_id: encode(signal) for signal in signals_of([*waits, *goes_on])}
    assert set(whole) == {"waits/0/10/loss_diverging", "goes-on/0/3/non_finite"}
    del whole["goes-on/0/3/non_finite"]
    assert emitted == whole
    assert sum(1 for _ in read_topic(kafka, dead_letters)) == 7


def test_what_is_refused_again_says_that_it_was_requeued_whichever_topic_it_came_from(
    kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path
) -> None:
    names, environ = topic_names(topics), settings_environ(kafka, topics)

    def letters() -> dict[str, tuple[str, str]]:
        """Id → source topic and the letter that it was."""
        return {
            f"{letter.partition()}:{letter.offset()}": (header(letter, "source-topic"), header(letter, "requeued-from"))
            for letter in read_topic(kafka, names.dead_letters)
        }

    with running_worker(kafka, topics, tmp_path / "data") as worker:
        publish_to(kafka, names.steps, [Published(b"run", b"{")])
        publish_to(kafka, names.diffs, [Published(b"project", b"[]")])
        wait_until(lambda: len(letters()) == 2, worker)
        first = letters()
        assert sorted(first.values()) == [(names.diffs, ""), (names.steps, "")]
        assert streakline("dead-letters", "requeue", *first, environ=environ).code == 0
        wait_until(lambda: len(letters()) == 4, worker)
        again = {id_: whence for id_, whence in letters().items() if id_ not in first}
        assert sorted(again.values()) == sorted((topic, id_) for id_, (topic, _) in first.items())
        ended = streakline("dead-letters", "requeue", "--reason", "not_json", environ=environ)
        assert ended.err.splitlines()[-1] == "there is nothing to requeue"
        streakline("dead-letters", "requeue", "--all", environ=environ)
        worker.wait_for_events(4)
    assert len(letters()) == 4
