"""The agent that owns every project: judges the diffs topic, and keeps the scores to compare the next run with."""

import time
from collections.abc import Iterable, Mapping, Sequence

import faust

from producers.topics import Topics
from stream_app.batches import BatchAgent
from stream_app.diff_judging import DiffJudgement, judge_diffs
from stream_app.histories import ProjectHistory, decode_history, encode_history
from stream_app.metrics import StreamMetrics
from stream_app.raw_records import RawRecord, RowKey
from stream_app.settings import StreamSettings
from stream_app.status import WorkerStatus
from stream_app.tables import ReplicatedTable


class RegressionsAgent(BatchAgent[DiffJudgement]):
    """Judges the diffs topic. The promise of `BatchAgent` is its own.

    Lag and readiness do not look at it: a project waits for its diffs for minutes anyway.
    """

    def __init__(
        self,
        *,
        app: faust.App,
        topics: Topics,
        table: ReplicatedTable,
        settings: StreamSettings,
        metrics: StreamMetrics,
        status: WorkerStatus,
    ) -> None:
        super().__init__(
            app=app,
            topics=topics,
            source=topics.diffs,
            table=table,
            decode=decode_history,
            settings=settings,
            status=status,
        )
        self._metrics = metrics

    def judge(self, records: Sequence[RawRecord]) -> DiffJudgement:
        """What a batch of diffs comes to. Raises `UnreadableRecord`."""
        return judge_diffs(records, self._load)

    def rows_of(self, judged: DiffJudgement) -> Mapping[RowKey, bytes]:
        """The projects that the batch changed."""
        return {key: encode_history(history) for key, history in judged.histories.items()}

    def applied(self, records: Sequence[RawRecord], judged: DiffJudgement) -> None:
        """Take note of a batch, for the counters."""
        self._metrics.count_diffs(len(records), judged, time.time())

    def histories(self) -> Iterable[ProjectHistory]:
        """Every project this worker judges; none while the tables are being recovered. For any thread."""
        return [history for _, history in self.rows(decode_history)]

    def _load(self, key: RowKey) -> ProjectHistory | None:
        raw = self._table.load(key)
        return None if raw is None else decode_history(raw)
