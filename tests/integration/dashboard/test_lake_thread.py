"""A thread of its own for the lake."""

import asyncio
import time
from pathlib import Path

import pytest

from streakline.dashboard import lake_thread
from streakline.dashboard.lake_thread import LakeThread
from tests.asked_lake import RUNS, write_archive, write_diff
from workers.lake.session import Session
from workers.lake.statements import EmptyLake, QueryError
from workers.lake.writer import Lake

ENDLESS = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range + b.range = -1"


def tables(session: Session) -> set[str]:
    return set(session.tables())


def test_new_tables_are_seen_without_starting_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lake_thread, "_LOOK_SECONDS", 0.0)

    async def ask() -> None:
        thread = LakeThread(str(tmp_path), "lake")
        with pytest.raises(EmptyLake):
            await thread.run(tables)
        write_diff(Lake(str(tmp_path)), RUNS[0])
        assert "signals" not in await thread.run(tables)
        write_archive(Lake(str(tmp_path)))
        assert "signals" in await thread.run(tables)
        await thread.close()
        with pytest.raises(RuntimeError):
            await thread.run(tables)

    asyncio.run(ask())


def test_a_question_under_way_is_dropped_at_the_end(lake: Path) -> None:
    async def ask() -> float:
        thread = LakeThread(str(lake), "lake")
        await thread.run(tables)
        asked = [asyncio.create_task(thread.run(lambda session: list(session.ask(ENDLESS).rows))) for _ in range(2)]
        await asyncio.sleep(0.3)
        started = time.monotonic()
        await thread.close()
        took = time.monotonic() - started
        for each in asked:
            with pytest.raises(QueryError):
                await each
        return took

    assert asyncio.run(ask()) < 10


def test_a_lake_elsewhere_is_not_asked() -> None:
    with pytest.raises(ValueError, match="mount it"):
        LakeThread("gs://anonymous@bucket/lake", "lake")


def test_a_folder_that_cannot_be_looked_into_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: str) -> Session:
        raise PermissionError("not yours")

    monkeypatch.setattr(lake_thread, "Session", refuse)

    async def ask() -> None:
        thread = LakeThread(str(tmp_path), "lake")
        with pytest.raises(QueryError, match="not yours"):
            await thread.run(tables)
        await thread.close()

    asyncio.run(ask())
