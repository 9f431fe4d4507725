"""One run as it is streamed: the lake's history, what Redis holds, and what happens then."""

from pathlib import Path

import msgspec

from streakline.processes import free_port
from streakline.redis_server import running_redis
from stream_app.live import LiveBatch
from tests.dashboard import Dashboard, running_dashboard
from tests.live_writing import LiveWriter, live_run, points, signal
from workers.coordination.board import Board, JobProgress


def test_history_and_redis_are_one_curve_and_what_comes_is_added(dashboard: Dashboard, writer: LiveWriter) -> None:
    writer.show(live_run("sft-2", step=210))
    writer.tell("sft-2", LiveBatch(attempt=0, points=points(190, 205), signals=(signal("sft-2", 150),)))
    with dashboard.events("/events/runs/sft-2") as events:
        event = next(events)
        whole = event.data["whole"]
        (timeline,) = whole["timelines"]
        assert timeline["steps"] == [*range(0, 181, 20), *range(190, 206)]
        # The lake has that signal as well.
        assert [(each["step"], each["type"]) for each in whole["signals"]] == [(150, "gradient_spike")]
        last = writer.tell("sft-2", LiveBatch(attempt=0, points=points(206, 207), signals=(signal("sft-2", 206),)))
        more = next(each for each in events if each.data["batches"])
        assert more.id == last
        assert more.data["whole"] is None
        (batch,) = more.data["batches"]
        assert [point[0] for point in batch["points"]] == [206, 207]
        assert batch["signals"][0]["message"].startswith("the gradient norm")


def test_who_comes_back_is_told_what_was_missed_and_nothing_twice(dashboard: Dashboard, writer: LiveWriter) -> None:
    writer.show(live_run("a"))
    seen = writer.tell("a", LiveBatch(attempt=0, points=points(0, 9)))
    missed = writer.tell("a", LiveBatch(attempt=0, points=points(10, 19)))
    with dashboard.events("/events/runs/a", {"Last-Event-ID": seen}) as events:
        event = next(events)
        assert (event.id, event.data["whole"]) == (missed, None)
        assert [point[0] for each in event.data["batches"] for point in each["points"]] == [*range(10, 20)]
    with dashboard.events(f"/events/runs/a?after={missed}") as events:
        event = next(events)
        assert (event.id, event.data["whole"], event.data["batches"]) == (missed, None, [])


def test_who_was_away_for_too_long_is_told_everything(dashboard: Dashboard, writer: LiveWriter) -> None:
    writer.show(live_run("a"))
    last = writer.tell("a", LiveBatch(attempt=0, points=points(0, 9)))
    for unknown in ("1-0", "99999999999999-0", "x", "1-", "9" * 50 + "-0"):
        with dashboard.events("/events/runs/a", {"Last-Event-ID": unknown}) as events:
            event = next(events)
            assert event.id == last
            assert event.data["whole"]["timelines"][0]["steps"] == [*range(10)]


def test_viewers_of_a_run_share_its_reader(dashboard: Dashboard, writer: LiveWriter) -> None:
    writer.show(live_run("a"))
    writer.tell("a", LiveBatch(attempt=0, points=points(0, 0)))
    with dashboard.events("/events/runs/a") as one, dashboard.events("/events/runs/a") as other:
        assert next(one).data["whole"] == next(other).data["whole"]
        clients = writer.client.client_list()
        assert sum(client["cmd"] == "xread" for client in clients) == 1
        writer.tell("a", LiveBatch(attempt=0, points=points(1, 1)))
        for events in (one, other):
            assert next(each for each in events if each.data["batches"]).data["batches"][0]["points"][0][0] == 1


def test_hostile_batches_are_left_out(dashboard: Dashboard, writer: LiveWriter) -> None:
    writer.show(live_run("a"))
    good = LiveBatch(attempt=0, points=points(0, 0))
    hostile = (
        b"",
        b"{",
        b'{"attempt":0,"unknown":' + b"[" * 100_000,
        b'{"attempt":-1}',
        b'{"attempt":18446744073709551616}',
        msgspec.json.encode(LiveBatch(attempt=0, points=points(0, 100))),
        msgspec.json.encode(LiveBatch(attempt=0, points=points(2**53, 2**53))),
        msgspec.json.encode(LiveBatch(attempt=0, signals=(signal("another", 1),))),
    )
    for raw in hostile:
        writer.tell_raw("a", raw)
    writer.tell_raw("a", msgspec.json.encode(good), field="other")
    writer.tell("a", good)
    with dashboard.events("/events/runs/a") as events:
        assert next(events).data["whole"]["timelines"] == [
            {"attempt": 0, "steps": [0], "loss": [1.0], "max_grad": [0.5], "total_steps": 1, "non_finite": 0}
        ]
        writer.tell_raw("a", b"{")
        last = writer.tell("a", LiveBatch(attempt=0, points=points(1, 1)))
        assert next(each for each in events if each.data["batches"]).id == last


def test_a_key_of_another_kind_stops_nothing(dashboard: Dashboard, writer: LiveWriter) -> None:
    writer.show(live_run("a"))
    writer.client.set(f"{writer.prefix}live:batches:a", "no stream")
    with dashboard.events("/events/runs/a") as events:
        event = next(events)
        assert (event.id, event.data["whole"]["timelines"]) == (None, [])
        writer.client.delete(f"{writer.prefix}live:batches:a")
        writer.tell("a", LiveBatch(attempt=0, points=points(3, 3)))
        whole = next(each for each in events if each.id is not None).data["whole"]
        assert whole["timelines"][0]["steps"] == [3]


def test_state_and_diff_of_the_run_come_too(dashboard: Dashboard, writer: LiveWriter) -> None:
    writer.show(live_run("a", step=1))
    with dashboard.events("/events/runs/a") as events:
        assert next(each for each in events if each.data["row"]).data["row"][5] == 1
        writer.show(live_run("a", step=2, state="failed"))
        assert next(each for each in events if each.data["row"][2] == "failed").data["row"][5] == 2
        board = Board(writer.client, writer.prefix)
        board.show(
            JobProgress(run_id="a", attempt=0, stage="loading", percent=7, eta_seconds=60, worker="w"), at_once=True
        )
        assert next(each for each in events if each.data["diff"]).data["diff"]["percent"] == 7


def test_a_run_goes_on_once_redis_is_back(lake: Path) -> None:
    port = free_port()
    with running_dashboard(f"redis://127.0.0.1:{port}/0", lake, "p.") as dashboard:
        with dashboard.events("/events/runs/sft-3") as events:
            # Without Redis the lake's history is there all the same.
            assert next(events).data["whole"]["timelines"][0]["total_steps"] == 11
        with running_redis(port=port) as url, dashboard.events("/events/runs/sft-3") as events:
            LiveWriter(url, "p.").tell("sft-3", LiveBatch(attempt=0, points=points(300, 300)))
            event = next(each for each in events if each.id is not None)
            assert event.data["whole"]["timelines"][0]["steps"][-1] == 300
