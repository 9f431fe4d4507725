"""What workers show of their diffs, on a real Redis server."""

import contextlib
import socket

import pytest

from producers.redis.client import RedisAway, connect
from streakline.processes import free_port
from workers.coordination.board import Board, JobProgress


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
    client.set(f"{prefix}progress:w", '{"unknown": ' + "[" * 100_000)
    client.set(f"{prefix}progress:z", b"\xff")
    client.set(f"{prefix}progress:".encode() + b"\xff", '{"x":' + "[" * 10_000 + "]" * 10_000 + "}")
    assert list(Board(client, prefix).all()) == []


def test_beginnings_are_counted_until_the_end(redis_url: str, prefix: str) -> None:
    board = Board(connect(redis_url), prefix)
    assert [board.begin("run/0") for _ in range(3)] == [1, 2, 3]
    assert board.begin("run/1") == 1
    board.end("run/0")
    assert board.begin("run/0") == 1


def test_failures_in_a_row_are_those_of_a_machine_whichever_worker_it_runs(redis_url: str, prefix: str) -> None:
    board, successor = Board(connect(redis_url), prefix), Board(connect(redis_url), prefix)
    assert [board.failed("gpu-1"), successor.failed("gpu-1"), successor.failed("gpu-2")] == [1, 2, 1]
    board.succeeded("gpu-1")
    assert [successor.failed("gpu-1"), board.failed("gpu-2")] == [1, 2]


def test_a_server_that_is_away_keeps_nobody_from_working() -> None:
    board = Board(connect(f"redis://127.0.0.1:{free_port()}/0"), "away.")
    board.show(progress("a", 1.0))
    board.take_down("a")
    board.end("a/0")
    board.succeeded("gpu-1")
    with pytest.raises(RedisAway, match="STREAKLINE_REDIS_URL"):
        board.begin("a/0")
    with pytest.raises(RedisAway, match="STREAKLINE_REDIS_URL"):
        board.failed("gpu-1")
    with pytest.raises(RedisAway, match="STREAKLINE_REDIS_URL"):
        list(board.all())


def test_a_server_that_hangs_is_not_asked_again_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as hangs:
        # Longer than what lies between two looks at the clock: without more, it would be asked each time.
        board = Board(connect(f"redis://127.0.0.1:{hangs.getsockname()[1]}/0?socket_timeout=0.6"), "hangs.")
        for percent in range(3):
            board.show(progress("a", float(percent)))
        hangs.setblocking(False)
        asked = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                hangs.accept()[0].close()
                asked += 1
    assert asked == 1
