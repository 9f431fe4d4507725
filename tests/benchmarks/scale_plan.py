"""From what was measured of one worker to what many runs need: pure arithmetic, the tables of ``docs/scale.md``."""

import math
from collections.abc import Callable, Mapping

from msgspec import Struct

from producers.topics import TopicSettings, topic_names, topic_specs
from stream_app.settings import StreamSettings
from tests.documents import ROOT, put_between

BEGINS, ENDS = "<!-- plan: made by `make docs` -->", "<!-- end of plan -->"
_DAY = 86_400.0
MOST_PARTITIONS = 1024
"""that `STREAKLINE_PARTITIONS` may be"""
FLEETS = (1_000, 10_000, 1_000_000)


class Inputs(Struct, frozen=True, kw_only=True):
    """What the plan is made of. Measured figures are those of 24 layers; `docs/scale.md` says by which command."""

    worker_events: float = 8_300.0
    """of one worker, events/s, with one state written for each"""
    event_bytes: float = 487.0
    """on the broker: one step alone in its batch, zstd"""
    state_bytes: float = 448.0
    """key and value"""
    change_bytes: float = 258.0
    """on the broker: a state on the changelog, zstd"""
    recovered_states: float = 3_400.0
    """read from a changelog, a second"""
    recovery_seconds: float = 11.0
    """before the first of them is read: session time-out, rebalance, opening tables"""
    archived_bytes: float = 91.0
    """a step in the lake"""
    series: float = 7.0
    """of Prometheus, a run"""
    live_bytes: float = 45_000.0
    """of Redis, a run"""

    step_seconds: float = 2.0
    steps_a_run: float = 5_000.0
    spare: float = 0.5
    """share of a worker that is planned for"""
    partitions_a_worker: int = 4
    most_partitions_a_worker: int = 16
    replication: int = 3
    rocksdb_amplification: float = 2.0
    """files of RocksDB for a byte of states"""
    diff_gpu_seconds: float = 60.0
    """a diff, both models, with loading"""


SOURCES = {
    "worker_events": (
        "assumed",
        "steps/s of one worker that writes a state for each: the 9,900 of `stream`, less a sixth",
    ),
    "event_bytes": ("measured", "a step on the broker, alone in its batch, zstd: `scale`"),
    "state_bytes": ("measured", "a run's state, key and value, windows full: `scale`"),
    "change_bytes": ("measured", "a state on the changelog, zstd, at a steady pace: `scale`"),
    "recovered_states": (
        "measured",
        "states read from a changelog, a second, by the time of the processor: `recovery`",
    ),
    "recovery_seconds": ("measured", "before it reads: session time-out of 6 s, rebalance, opening its tables"),
    "archived_bytes": ("measured", "a step in the lake: `archive`"),
    "series": ("counted", "series of Prometheus, a run: six, and two more for a signal, of one run in two"),
    "live_bytes": ("measured", "of Redis, a run: `live`"),
    "step_seconds": ("assumed", "from one step of a run to the next"),
    "steps_a_run": ("assumed", "a run of nearly three hours"),
    "spare": ("assumed", "share of a worker that is planned for: the rest is for catching up"),
    "partitions_a_worker": ("assumed", "partitions of one worker, at least: so that the load of one that died spreads"),
    "most_partitions_a_worker": ("assumed", "partitions of one worker, at most: each adds to its recovery"),
    "replication": ("assumed", "`STREAKLINE_REPLICATION`"),
    "rocksdb_amplification": ("assumed", "bytes of files for a byte of states"),
    "diff_gpu_seconds": ("assumed", "a diff of a 1B model, with loading: **no diff was run on a GPU yet**"),
}


class Plan(Struct, frozen=True):
    """What `runs` concurrent runs need."""

    runs: int
    inputs: Inputs = Inputs()

    @property
    def events(self) -> float:
        """A second."""
        return self.runs / self.inputs.step_seconds

    @property
    def ended_a_day(self) -> float:
        """Runs; as many begin."""
        return self.events * _DAY / self.inputs.steps_a_run

    @property
    def held(self) -> float:
        """States that are kept: of live runs, and of ended ones for `finished_run_seconds`."""
        return self.runs + self.ended_a_day * StreamSettings().finished_run_seconds / _DAY

    @property
    def gpus(self) -> float:
        """That diffs keep busy."""
        return self.ended_a_day * self.inputs.diff_gpu_seconds / _DAY

    @property
    def partitions(self) -> int:
        """Of every topic: for the workers to share, and one for each GPU, for a partition has one diff worker."""
        wanted = max(self._busy_workers * self.inputs.partitions_a_worker, self.gpus, TopicSettings().partitions)
        return min(MOST_PARTITIONS, 1 << math.ceil(math.log2(wanted)))

    @property
    def workers(self) -> int:
        """Stream workers; with fewer than two nobody takes over."""
        return max(2, self._busy_workers, math.ceil(self.partitions / self.inputs.most_partitions_a_worker))

    @property
    def _busy_workers(self) -> int:
        return math.ceil(self.events / (self.inputs.worker_events * self.inputs.spare))

    @property
    def steps_bytes(self) -> float:
        """Of the steps topic on all brokers."""
        seconds = int(_config("steps")["retention.ms"]) / 1000
        return self.events * self.inputs.event_bytes * seconds * self.inputs.replication

    @property
    def changelog_bytes(self) -> float:
        """Of the changelog on all brokers, at most.

        The cleaner leaves a partition alone until half of it is out of date, and the segment that is written to always.
        """
        return (
            2 * self.held * self.inputs.change_bytes
            + self.partitions * int(_config("state_changelog")["segment.bytes"])
        ) * self.inputs.replication

    @property
    def written_bytes(self) -> float:
        """To the disks of all brokers, a second: an event and a state each."""
        return self.events * (self.inputs.event_bytes + self.inputs.change_bytes) * self.inputs.replication

    @property
    def rocksdb_bytes(self) -> float:
        """Of states in the files of one worker."""
        return self.held * self.inputs.state_bytes * self.inputs.rocksdb_amplification / self.workers

    @property
    def recovery_seconds(self) -> float:
        """Until a worker with an empty data directory judges, at most; one whose directory is kept reads next to
        nothing.
        """
        partitions = self.partitions / self.workers
        states = (
            2 * self.held / self.workers
            + partitions * int(_config("state_changelog")["segment.bytes"]) / self.inputs.change_bytes
        )
        return self.inputs.recovery_seconds + states / self.inputs.recovered_states

    @property
    def series(self) -> float:
        """Of Prometheus with ``per_run_metrics=all``."""
        return self.runs * self.inputs.series

    @property
    def redis_bytes(self) -> float:
        """What is shown of a run stays for a day after its end."""
        return (self.runs + self.ended_a_day) * self.inputs.live_bytes

    @property
    def archived_bytes(self) -> float:
        """A day."""
        return self.events * self.inputs.archived_bytes * _DAY


_ROWS: tuple[tuple[str, Callable[[Plan], str]], ...] = (
    ("steps a second", lambda plan: f"{plan.events:,.0f}"),
    ("runs that end a day", lambda plan: f"{plan.ended_a_day:,.0f}"),
    ("states that are kept", lambda plan: f"{plan.held:,.0f}"),
    ("stream workers, about a core each", lambda plan: f"{plan.workers:,}"),
    ("partitions", lambda plan: f"{plan.partitions:,}"),
    ("written to the brokers' disks, all replicas", lambda plan: f"{_bytes(plan.written_bytes)}/s"),
    ("steps topic, 7 days, all replicas", lambda plan: _bytes(plan.steps_bytes)),
    ("changelog, all replicas, at most", lambda plan: _bytes(plan.changelog_bytes)),
    ("states in RocksDB, a worker", lambda plan: _bytes(plan.rocksdb_bytes)),
    ("a worker with an empty directory is back after, at most", lambda plan: f"{plan.recovery_seconds:,.0f} s"),
    ("series of Prometheus, `per_run_metrics=all`", lambda plan: f"{plan.series:,.0f}"),
    ("Redis", lambda plan: _bytes(plan.redis_bytes)),
    ("steps in the lake, a day", lambda plan: _bytes(plan.archived_bytes)),
    ("GPUs that diffs keep busy", lambda plan: f"{plan.gpus:,.1f}"),
)


def tables(inputs: Inputs) -> list[str]:
    """What the plan is made of, and the plan, in Markdown."""
    plans = [Plan(runs, inputs) for runs in FLEETS]
    used = [f"| {text} | {getattr(inputs, name):,g} | {kind} |" for name, (kind, text) in SOURCES.items()]
    rows = [f"| {title} | " + " | ".join(cell(plan) for plan in plans) + " |" for title, cell in _ROWS]
    return [
        "| what goes in | value | |",
        "|---|---|---|",
        *used,
        "",
        "| what comes out | " + " | ".join(f"{runs:,} runs" for runs in FLEETS) + " |",
        "|---|" + "---|" * len(FLEETS),
        *rows,
    ]


def _config(topic: str) -> Mapping[str, str]:
    settings = TopicSettings()
    name = getattr(topic_names(settings), topic)
    (config,) = (spec.config for spec in topic_specs(settings) if spec.topic == name)
    return config or {}


def _bytes(count: float) -> str:
    """In a unit that leaves one to three digits in front.

    >>> _bytes(950.0), _bytes(2.4e6), _bytes(4.4e12)
    ('950 B', '2.4 MB', '4.4 TB')
    """
    power = max(0, min(4, math.floor(math.log10(max(count, 1)) / 3)))
    value = count / 1000**power
    return f"{value:,.{0 if power == 0 or value >= 100 else 1}f} {('B', 'kB', 'MB', 'GB', 'TB')[power]}"


def main() -> None:
    """Write them into the page."""
    put_between(ROOT / "docs" / "scale.md", BEGINS, ENDS, tables(Inputs()))


if __name__ == "__main__":
    main()
