"""What pages know before everything was read."""

import asyncio

import pytest

from streakline.dashboard import overview
from streakline.dashboard.overview import Overview, SourceState


async def has_ended(task: asyncio.Task[None]) -> bool:
    """After it has had its turns."""
    for _ in range(5):
        await asyncio.sleep(0)
    return task.done()


def test_it_has_begun_when_both_were_asked_once() -> None:
    async def begin() -> list[bool]:
        it = Overview()
        waiting = asyncio.create_task(it.begun())
        seen = [await has_ended(waiting)]
        it.show_redis(SourceState(state="ok"), ())
        seen.append(await has_ended(waiting))
        it.show_lake_state(SourceState(state="away"))
        seen.append(await has_ended(waiting))
        await waiting
        return seen

    assert asyncio.run(begin()) == [False, False, True]


def test_who_waits_for_what_hangs_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "BEGUN_WITHIN_SECONDS", 0.01)
    asyncio.run(Overview().begun())
