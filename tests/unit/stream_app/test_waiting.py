"""What waits for Redis is one piece of news a run, of a bounded number of runs, in the order in which it came."""

from stream_app.engine.state import RunState
from stream_app.live import LivePoint
from stream_app.raw_records import RowKey
from stream_app.records import VERSION, RunRecord
from stream_app.run_news import RunNews, live_run
from stream_app.waiting import Waiting


def news(name: str, step: int) -> dict[RowKey, RunNews]:
    run = live_run(name, RunRecord(VERSION, RunState(attempt=0, last_step=step), float(step)))
    return {RowKey(0, name.encode()): RunNews(run, float(step), [LivePoint(step, 1.0, None)])}


def found(taken: dict[RowKey, RunNews]) -> list[tuple[str, list[int]]]:
    assert all(each.run.last_step == each.points[-1].step == each.seen_at for each in taken.values())
    return [(key.name.decode(), [point.step for point in each.points]) for key, each in taken.items()]


def test_what_waits_is_joined_and_taken_once() -> None:
    waiting = Waiting(10)
    for name, step in (("a", 1), ("b", 1), ("a", 2)):
        waiting.add(news(name, step))
    taken, _ = waiting.take()
    assert found(taken) == [("a", [1, 2]), ("b", [1])]
    assert waiting.take()[0] == {}


def test_of_too_many_runs_those_that_have_waited_longest_are_dropped() -> None:
    waiting = Waiting(2)
    for name in "abc":
        waiting.add(news(name, 1))
    taken, era = waiting.take()
    assert found(taken) == [("b", [1]), ("c", [1])]
    waiting.add(news("d", 1))
    waiting.put_back(taken, era)
    assert found(waiting.take()[0]) == [("c", [1]), ("d", [1])]


def test_what_is_put_back_is_older_than_what_came_since_and_goes_first() -> None:
    waiting = Waiting(10)
    waiting.add(news("a", 1) | news("b", 1))
    taken, era = waiting.take()
    waiting.add(news("c", 1) | news("b", 2))
    waiting.put_back(taken, era)
    assert found(waiting.take()[0]) == [("a", [1]), ("b", [1, 2]), ("c", [1])]


def test_what_was_taken_before_it_was_cleared_does_not_come_back() -> None:
    waiting = Waiting(10)
    waiting.add(news("a", 1))
    taken, era = waiting.take()
    waiting.add(news("a", 2))
    waiting.clear()
    waiting.put_back(taken, era)
    waiting.add(news("b", 1))
    assert found(waiting.take()[0]) == [("b", [1])]
