"""The list of runs as it is streamed: what Redis has, what the lake has, and what is neither."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from streakline.processes import free_port
from streakline.redis_server import running_redis
from tests.asked_lake import RUNS, write_diff
from tests.dashboard import Dashboard, Event, running_dashboard
from tests.live_writing import LiveWriter, live_run
from workers.coordination.board import Board, JobProgress
from workers.lake.writer import Lake

LIST = "/events/runs"
ARCHIVED = {*(run.name for run in RUNS), "failed-1"}


class Reader:
    """What a page knows after some events."""

    def __init__(self, events: Iterator[Event]) -> None:
        self._events = events
        self.rows: dict[str, list[Any]] = {}
        self.latest: dict[str, Any] = {}
        self.cursor: str | None = None
        self.wholes = 0

    def until(self, condition: Callable[["Reader"], bool]) -> "Reader":
        """Take events until it holds; the stream's timeout fails the test."""
        while not (self.latest and condition(self)):
            event = next(self._events)
            self.latest, self.cursor = event.data, event.id
            if self.latest["is_whole"]:
                self.rows.clear()
                self.wholes += 1
            self.rows |= {row[0]: row for row in self.latest["rows"]}
        return self

    def state(self, source: str) -> str:
        """Of Redis or the lake."""
        return str(self.latest[source]["state"])

    @property
    def are_read(self) -> bool:
        """Whether both have been."""
        return "starting" not in {self.state("redis"), self.state("lake")}


def test_live_runs_and_those_of_the_lake_are_one_list(dashboard: Dashboard, writer: LiveWriter) -> None:
    writer.show(live_run("team/new"), live_run("sft-3", attempt=0, step=999, state="ended"))
    with dashboard.events(LIST) as events:
        reader = Reader(events).until(lambda it: it.are_read and {"team/new", *ARCHIVED} <= it.rows.keys())
        assert reader.rows["team/new"][1:4] == ["assistant", "running", 0]
        # What Redis has of it, with the end and the diff that the lake knows.
        assert reader.rows["sft-3"][2] == "completed"
        assert reader.rows["sft-3"][5] == 999
        assert reader.rows["sft-3"][10] is not None
        assert reader.rows["failed-1"][2] == "failed"
        assert reader.rows["failed-1"][9][:2] == ["non_finite", "critical"]
        # The second attempt began, and nothing else is known of it.
        assert reader.rows["sft-1"][3] == 1


def test_changes_come_by_themselves_and_only_they(dashboard: Dashboard, writer: LiveWriter) -> None:
    writer.show(live_run("a", step=1), live_run("b", step=1))
    with dashboard.events(LIST) as events:
        reader = Reader(events).until(lambda it: it.are_read and {"a", "b"} <= it.rows.keys())
        writer.show(live_run("a", step=2))
        reader.until(lambda it: it.rows["a"][5] == 2)
        assert [row[0] for row in reader.latest["rows"]] == ["a"]
        writer.forget("b")
        reader.until(lambda it: "b" not in it.rows)
        assert reader.latest["is_whole"]


def test_who_comes_back_is_told_what_was_missed(dashboard: Dashboard, writer: LiveWriter) -> None:
    writer.show(live_run("a", step=1), live_run("b", step=1))
    with dashboard.events(LIST) as events:
        cursor = Reader(events).until(lambda it: it.are_read and {"a", *ARCHIVED} <= it.rows.keys()).cursor
    assert cursor is not None
    writer.show(live_run("a", step=2))
    for path, headers in ((LIST, {"Last-Event-ID": cursor}), (f"{LIST}?after={cursor}", {})):
        with dashboard.events(path, headers) as events:
            back = Reader(events).until(lambda it: "a" in it.rows)
            assert back.wholes == 0
            assert set(back.rows) == {"a"}
    with dashboard.events(LIST, {"Last-Event-ID": "of another process.7"}) as events:
        assert Reader(events).until(lambda it: "a" in it.rows).wholes == 1


def test_hostile_entries_are_left_out_and_counted(dashboard: Dashboard, writer: LiveWriter) -> None:
    good = msgspec.json.encode(live_run("good"))
    for number, raw in enumerate(
        (
            b"",
            b"{",
            b"[" * 10_000,
            b'{"unknown":' + b"[" * 100_000,
            b"null",
            b"\xff\xfe",
            good,
            good.replace(b'"loss":1.5', b'"loss":1e999'),
        )
    ):
        writer.put_raw(f"bad-{number}", raw)
    writer.put_raw("<script>", msgspec.json.encode(live_run("good")).replace(b'"good"', b'"<script>"'))
    writer.client.zadd(f"{writer.prefix}live:runs", {b"\xff\xfe": 1e300})
    writer.client.set(f"{writer.prefix}live:run:".encode() + b"\xff\xfe", good)
    writer.client.zadd(f"{writer.prefix}live:runs", {"expired": 1.0})
    writer.show(live_run("good"))
    with dashboard.events(LIST) as events:
        reader = Reader(events).until(lambda it: "good" in it.rows and it.latest["redis"]["malformed"] > 0)
        assert reader.latest["redis"]["malformed"] == 10
        assert not any(name.startswith(("bad-", "<", "expired")) for name in reader.rows)
        # One that is put right is shown, and counted no longer.
        writer.show(live_run("bad-0"))
        reader.until(lambda it: "bad-0" in it.rows and it.latest["redis"]["malformed"] == 9)


def test_diffs_in_progress_are_shown_until_they_are_done(dashboard: Dashboard, writer: LiveWriter) -> None:
    board = Board(writer.client, writer.prefix)
    writer.client.set(f"{writer.prefix}progress:bad", b"{}")
    writer.client.set(f"{writer.prefix}progress:deep", b'{"unknown":' + b"[" * 100_000)
    progress = JobProgress(run_id="a", attempt=0, stage="features", percent=40.5, eta_seconds=None, worker="<b>gpu</b>")
    board.show(progress, at_once=True)
    with dashboard.events(LIST) as events:
        reader = Reader(events).until(lambda it: bool(it.latest["diffs"]))
        assert reader.latest["diffs"] == [msgspec.to_builtins(progress)]
        assert reader.latest["redis"]["malformed"] == 2
        board.take_down("a")
        reader.until(lambda it: not it.latest["diffs"])


def test_a_redis_that_goes_and_comes_back_is_told_of(lake: Path, tmp_path: Path) -> None:
    with running_redis() as url:
        LiveWriter(url, "p.").show(live_run("a"))
        with running_dashboard(url, lake, "p.") as dashboard, dashboard.events(LIST) as events:
            reader = Reader(events).until(lambda it: "a" in it.rows)
            LiveWriter(url, "p.").client.shutdown(nosave=True)
            reader.until(lambda it: it.state("redis") == "away")
            assert "Redis does not answer" in reader.latest["redis"]["detail"]
            # What was known stays.
            assert "a" in reader.rows


def test_without_redis_the_lake_is_shown(lake: Path) -> None:
    url = f"redis://127.0.0.1:{free_port()}/0"
    with running_dashboard(url, lake, "p.") as dashboard, dashboard.events(LIST) as events:
        reader = Reader(events).until(lambda it: it.are_read)
        assert (reader.state("redis"), reader.state("lake")) == ("away", "ok")
        assert set(reader.rows) == ARCHIVED
        assert b'"redis":"away"' in dashboard.ask("/healthz").body


def test_an_empty_lake_says_what_fills_it_and_is_read_once_it_is_filled(redis_url: str, tmp_path: Path) -> None:
    with running_dashboard(redis_url, tmp_path, "none.") as dashboard, dashboard.events(LIST) as events:
        reader = Reader(events).until(lambda it: it.are_read)
        assert (reader.state("lake"), reader.rows) == ("empty", {})
        assert "streakline archive" in reader.latest["lake"]["detail"]
        write_diff(Lake(str(tmp_path)), RUNS[0])
        reader.until(lambda it: "sft-1" in it.rows)
        assert reader.rows["sft-1"][2] == "completed"


def test_a_lake_that_cannot_be_read_says_so(redis_url: str, tmp_path: Path) -> None:
    write_diff(Lake(str(tmp_path)), RUNS[0])
    broken = next((tmp_path / "runs").rglob("*.parquet"))
    broken.write_bytes(b"no parquet")
    with running_dashboard(redis_url, tmp_path, "none.") as dashboard, dashboard.events(LIST) as events:
        reader = Reader(events).until(lambda it: it.are_read)
        assert reader.state("lake") == "away"
        assert reader.latest["lake"]["detail"].endswith(".")
