"""Readers that say nothing, hear nothing or do not read."""

import asyncio
import http.client
from pathlib import Path

import pytest
from aiohttp import web

from streakline.dashboard import events
from streakline.dashboard.pages import Pages
from tests.asked_lake import RUNS, write_diff
from tests.dashboard import Dashboard, running_dashboard
from workers.lake.writer import Lake


def test_silence_is_broken_by_a_beat(dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "BEAT_SECONDS", 0.2)
    connection = http.client.HTTPConnection("127.0.0.1", dashboard.port, timeout=20)
    connection.request("GET", "/events/runs/sft-3")
    response = connection.getresponse()
    while response.readline() != b"event: beat\n":
        pass
    connection.close()


def test_who_does_not_read_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "WRITE_SECONDS", 0.2)

    async def serve() -> None:
        streams, ended = events.EventStreams(), asyncio.Event()

        async def more_than_any_buffer_holds() -> bytes:
            return bytes(64 * 2**20)

        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                return await streams.serve(request, more_than_any_buffer_holds)
            finally:
                ended.set()

        app = web.Application()
        app.router.add_get("/", handle)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        # It reads ahead a little, and then no more.
        _, writer = await asyncio.open_connection(*runner.addresses[0])
        writer.write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        async with asyncio.timeout(20):
            await ended.wait()
        writer.close()
        await runner.cleanup()

    asyncio.run(serve())


def test_a_lake_that_cannot_be_read_is_said_on_every_page(redis_url: str, tmp_path: Path) -> None:
    write_diff(Lake(str(tmp_path)), RUNS[0])
    next((tmp_path / "runs").rglob("*.parquet")).write_bytes(b"no parquet")
    with running_dashboard(redis_url, tmp_path, "none.") as dashboard:
        for path, status in (("/runs/sft-1", 404), ("/projects/assistant", 404), ("/runs/sft-1/report", 503)):
            answer = dashboard.ask(path)
            assert answer.status == status
            assert "cannot be read" in answer.text


def test_a_defect_is_a_page_and_the_rest_goes_on(dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(Pages, "_missing", fail)
    answer = dashboard.ask("/runs/none")
    assert answer.status == 500
    assert "Something is wrong here" in answer.text
    assert "RuntimeError" not in answer.text
    assert dashboard.ask("/").status == 200
