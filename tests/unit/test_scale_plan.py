"""The arithmetic of `docs/scale.md`, and that the page says what it comes to."""

import re

import msgspec
import pytest

from producers.topics import TopicSettings
from tests.benchmarks.__main__ import BENCHMARKS
from tests.benchmarks.scale_plan import BEGINS, ENDS, FLEETS, MOST_PARTITIONS, SOURCES, Inputs, Plan, tables
from tests.documents import ROOT, links

PAGES = ("scale.md", "performance.md")


def test_the_page_has_the_plan_that_the_figures_make() -> None:
    page = (ROOT / "docs" / "scale.md").read_text()
    assert page.partition(BEGINS)[2].partition(ENDS)[0].strip().splitlines() == tables(Inputs())


def test_of_each_figure_it_is_said_where_it_comes_from() -> None:
    assert list(SOURCES) == list(Inputs.__struct_fields__)
    named = {name for _, text in SOURCES.values() for name in re.findall(r"`(\w+)`", text)}
    assert named - {"STREAKLINE_REPLICATION"} <= set(BENCHMARKS)


def test_a_fleet_worked_out_by_hand() -> None:
    inputs = Inputs(
        worker_events=1_000,
        event_bytes=500,
        state_bytes=400,
        change_bytes=256,
        recovered_states=1_000,
        recovery_seconds=10,
        archived_bytes=100,
        series=7,
        live_bytes=1_000,
        step_seconds=1,
        steps_a_run=3_600,
        spare=0.5,
        partitions_a_worker=4,
        most_partitions_a_worker=16,
        replication=3,
        rocksdb_amplification=2,
        diff_gpu_seconds=10,
    )
    plan = Plan(2_000, inputs)
    assert plan.events == 2_000
    assert plan.ended_a_day == 48_000
    assert plan.held == 4_000  # a run of an hour is kept for another
    assert (plan.workers, plan.partitions) == (4, 16)
    assert plan.steps_bytes == 2_000 * 500 * 604_800 * 3
    assert plan.changelog_bytes == (2 * 4_000 * 256 + 16 * 2**25) * 3
    assert plan.written_bytes == 2_000 * 756 * 3
    assert plan.rocksdb_bytes == 4_000 * 400 * 2 / 4
    assert plan.recovery_seconds == 10 + (2_000 + 4 * 2**17) / 1_000
    assert plan.series == 14_000
    assert plan.redis_bytes == 50_000 * 1_000
    assert plan.archived_bytes == 2_000 * 100 * 86_400
    assert plan.gpus == pytest.approx(48_000 * 10 / 86_400)


@pytest.mark.parametrize("runs", FLEETS)
def test_workers_keep_up_and_have_partitions(runs: int) -> None:
    plan = Plan(runs)
    assert plan.workers * plan.inputs.worker_events * plan.inputs.spare >= plan.events
    assert 2 <= plan.workers <= plan.partitions <= MOST_PARTITIONS
    assert plan.partitions % 8 == 0
    assert plan.partitions <= plan.workers * plan.inputs.most_partitions_a_worker


def test_there_is_a_partition_for_each_gpu_up_to_the_most_there_can_be() -> None:
    assert Plan(10_000).partitions >= Plan(10_000).gpus
    assert Plan(1_000_000).partitions == MOST_PARTITIONS
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"partitions": MOST_PARTITIONS + 1}, TopicSettings)


def test_more_runs_cost_as_much_more() -> None:
    few, many = Plan(1_000), Plan(100_000)
    for name in ("events", "ended_a_day", "held", "steps_bytes", "series", "redis_bytes", "archived_bytes", "gpus"):
        assert getattr(many, name) == pytest.approx(100 * getattr(few, name)), name


def test_slower_steps_are_fewer_events() -> None:
    slow = msgspec.structs.replace(Inputs(), step_seconds=2 * Inputs().step_seconds)
    assert Plan(10_000, slow).events == Plan(10_000).events / 2


@pytest.mark.parametrize("page", PAGES)
def test_what_the_pages_name_is_there(page: str) -> None:
    text = (ROOT / "docs" / page).read_text()
    named = re.findall(r"python -m tests\.benchmarks (\w+)", text)
    assert named
    assert set(named) <= {*BENCHMARKS, "NAME"}
    missing = [link for link in links(text) if not (ROOT / "docs" / link).exists()]
    assert not missing
