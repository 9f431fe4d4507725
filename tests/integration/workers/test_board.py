"""What workers show of their diffs, on a real Redis server."""

import pytest

from streakline.processes import free_port
from workers.coordination.board import Board, JobProgress
from workers.coordination.client import RedisAway, connect


def progress(run_id: str, percent: float) -> JobProgress:
    return JobProgress(
        run_id=run_id, attempt=0, stage="features", percent=percent, eta_seconds=12.5, worker="gpu-1/4711"
    )


def test_what_is_shown_is_seen_until_it_is_taken_down(redis_url: str, prefix: str) -> None:
    board, reader = Board(connect(redis_url), prefix), Board(connect(redis_url), prefix)
    board.show(progress("team/a", 10.0))
    board.show(progress("team/a", 11.0))  # too soon
    board.show(progress("b", 20.0), at_once=True)
    assert sorted((each.run_id, each.percent) for each in reader.all()) == [("b", 20.0), ("team/a", 10.0)]
    board.take_down("team/a")
    assert [each.run_id for each in reader.all()] == ["b"]


def test_what_others_wrote_there_is_left_out(redis_url: str, prefix: str) -> None:
    client = connect(redis_url)
    client.set(f"{prefix}progress:x", '{"run_id": 3}')
    client.set(f"{prefix}progress:y", "[" * 10_000)
    assert list(Board(client, prefix).all()) == []


def test_beginnings_are_counted_until_the_end(redis_url: str, prefix: str) -> None:
    board = Board(connect(redis_url), prefix)
    assert [board.begin("run/0") for _ in range(3)] == [1, 2, 3]
    assert board.begin("run/1") == 1
    board.end("run/0")
    assert board.begin("run/0") == 1


def test_a_server_that_is_away_keeps_nobody_from_working() -> None:
    board = Board(connect(f"redis://127.0.0.1:{free_port()}/0"), "away.")
    board.show(progress("a", 1.0))
    board.take_down("a")
    board.end("a/0")
    with pytest.raises(RedisAway, match="STREAKLINE_REDIS_URL"):
        board.begin("a/0")
    with pytest.raises(RedisAway, match="STREAKLINE_REDIS_URL"):
        list(board.all())
