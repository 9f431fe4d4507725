"""What the demo says of diffs that did not come, or came wrong."""

from pathlib import Path

from msgspec.structs import replace

from producers.events import DiffCompleted, DiffEvent, DiffFailed, Signal
from streakline.demo.diffs import Told, diff_problems, lake_problems, told_in
from streakline.demo.fine_tunes import FINE_TUNES
from tests.regressed import regressed
from workers.lake.writer import Lake
from workers.progress import BASE_WAS_KEPT, BASE_WAS_MEASURED

NAMES = [fine_tune.run_id for fine_tune in FINE_TUNES]
DAMAGED = FINE_TUNES[-1]
AS_IT_SHOULD_BE = Told({}, dict(zip(NAMES, [BASE_WAS_MEASURED, BASE_WAS_KEPT, BASE_WAS_KEPT], strict=True)))


def diff(run_id: str) -> DiffCompleted:
    return DiffCompleted(
        run_id=run_id, ts=1.0, diff_id="0" * 16, base_sha="a" * 16, ft_sha="b" * 16, probes_sha="c" * 16
    )


def diffs() -> dict[str, DiffEvent]:
    return {name: diff(name) for name in NAMES}


def signals(*categories: str) -> dict[str, list[Signal]]:
    none: dict[str, list[Signal]] = {name: [] for name in NAMES}
    return none | {DAMAGED.run_id: [regressed(DAMAGED.run_id, category) for category in categories]}


def test_nothing_is_wrong_where_all_came() -> None:
    assert list(diff_problems(FINE_TUNES, diffs(), signals(*DAMAGED.mistaught), AS_IT_SHOULD_BE)) == []


def test_each_diff_and_each_category_is_asked_for() -> None:
    made = diffs()
    del made[NAMES[0]]
    made[NAMES[1]] = DiffFailed(run_id=NAMES[1], ts=1.0, reason="missing", error="there is no base")
    assert list(diff_problems(FINE_TUNES, made, signals("keepers", "cargoes"), AS_IT_SHOULD_BE)) == [
        f"{NAMES[0]}: its diff did not come",
        f"{NAMES[1]}: its diff failed: there is no base",
        f"{NAMES[2]}: nobody noticed how it fell behind in flags",
    ]


def test_the_base_is_measured_for_the_first_diff_only() -> None:
    for base in ({}, dict.fromkeys(NAMES, BASE_WAS_MEASURED), dict.fromkeys(NAMES, BASE_WAS_KEPT)):
        (problem,) = diff_problems(FINE_TUNES, diffs(), signals(*DAMAGED.mistaught), Told({}, base))
        assert problem == "the base was to be measured for the first diff only, and was not"


def test_a_lake_that_holds_nothing_is_noticed(tmp_path: Path) -> None:
    assert list(lake_problems(Lake(str(tmp_path)), [diff(DAMAGED.run_id)], signals("flags"))) == [
        f"{DAMAGED.run_id}: the lake does not hold the diff that the diffs topic tells of",
        f"{DAMAGED.run_id}: the lake does not hold the regressions that the signals topic tells of",
    ]


def test_the_workers_log_says_how_long_it_took_and_where_the_base_came_from(tmp_path: Path) -> None:
    log = tmp_path / "diff-1.log"
    made = replace(diff("demo-facts"), attempt=17)
    assert told_in(log, [made]) == Told({}, {})
    lines = [
        "the diff of demo-facts/16: the base came from the cache",
        "the diff of demo-facts/17: the base was measured",
        "the diff of demo-facts/17 took 4.0 s",
        "the diff of demo-facts/16 took 1.0 s",
    ]
    log.write_text("".join(f"2026-01-01 00:00:00,000 INFO streakline.diff: {line}\n" for line in lines))
    assert told_in(log, [made, diff("another")]) == Told({"demo-facts": 4.0}, {"demo-facts": BASE_WAS_MEASURED})
