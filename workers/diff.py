"""One diff, from a job to the rows in the lake."""

import logging
from collections.abc import Sequence
from functools import partial
from itertools import count

from producers.events import DiffCompleted
from workers.base_cache import BaseCache
from workers.comparison import Comparison, completed
from workers.identity import Method, config_hash
from workers.inputs import Inputs, read_inputs
from workers.jobs import DiffJob, diff_id_of
from workers.lake.paths import file_path
from workers.lake.schemas import table_to_rows
from workers.lake.tables import SCHEMA_VERSION, Common, ModelDiffRow, RunRow
from workers.lake.writer import Lake, low_confidence_jsonl
from workers.model_pair import ModelPair
from workers.progress import BASE_WAS_KEPT, BASE_WAS_MEASURED, Progress, Stage, stages
from workers.settings import DiffSettings

logger = logging.getLogger("streakline.diff")

_READ, _BASE, _FINE_TUNED = 0.05, 0.5, 0.98
"""shares of the whole at which reading, the base and the fine-tuned model are done with"""
_WEIGHTS: dict[Stage, float] = {"loading": 1, "behaviour": 13, "calibration": 3, "features": 4}
"""about as long as each takes, of a model of 135 M on a CPU"""


class DiffMaker:
    """Makes diffs, one at a time: what `workers.job_runner.MakeDiff` asks for."""

    def __init__(self, settings: DiffSettings, *, cache: BaseCache, roots: Sequence[str] | None = None) -> None:
        """`roots` in place of the settings'. Raises ValueError where the settings' lake is neither folder nor URI."""
        self._settings = settings
        self._roots = settings.roots if roots is None else roots
        self._cache = cache
        self._lake = Lake(settings.lake)

    def __call__(self, job: DiffJob, progress: Progress) -> DiffCompleted:
        """Make the diff, unless the lake has it. Raises `DiffError`, and whatever `progress` does."""
        reading = stages(progress, 0.0, _READ, {"reading": 1})("reading")
        inputs = read_inputs(job, self._settings, self._roots, reading)
        pair = ModelPair(inputs, self._settings)
        common = self._common(job, inputs, pair.method)
        if (known := self._known(common)) is not None:
            return known
        base, was_kept = self._cache.get_or_measure(
            pair.base_key,
            job.base_model,
            lambda: pair.measure_base(stages(progress, _READ, _BASE, _WEIGHTS)),
            lambda: progress("waiting", _READ),
        )
        logger.info(
            "the diff of %s/%d: the base %s", job.run_id, job.attempt, BASE_WAS_KEPT if was_kept else BASE_WAS_MEASURED
        )
        compared = pair.compare(base, stages(progress, _BASE, _FINE_TUNED, {**_WEIGHTS, "labels": 1}))
        run = _run_row(job, inputs, pair.method, compared)
        self._write(common, run, compared, progress)
        return completed(common, run, compared.scores)

    def _common(self, job: DiffJob, inputs: Inputs, method: Method) -> Common:
        config = config_hash(method, self._settings)
        base_sha, ft_sha = inputs.base.sha, inputs.fine_tuned.sha
        return Common(
            schema_version=SCHEMA_VERSION,
            project=job.project,
            dt=job.day,
            run_id=job.run_id,
            diff_id=diff_id_of(job, base_sha=base_sha, ft_sha=ft_sha, config_hash=config),
            base_sha=base_sha,
            ft_sha=ft_sha,
            config_hash=config,
            created_at=job.completed_at,
        )

    def _known(self, common: Common) -> DiffCompleted | None:
        """The event of a diff that the lake has, whole."""
        read = partial(
            self._lake.read, project=common.project, day=common.dt, run_id=common.run_id, diff_id=common.diff_id
        )
        if (stored := read("runs")) is None:
            return None
        (run,) = table_to_rows(stored, RunRow)
        scores = read("model_diff")
        return completed(common, run, [] if scores is None else table_to_rows(scores, ModelDiffRow))

    def _write(self, common: Common, run: RunRow, compared: Comparison, progress: Progress) -> None:
        """Every table, `runs` last. A worker that has lost the job to another ends where it tells of its progress.

        It tells of it when a file is written and not yet to be seen, so that one which stood still meanwhile does not
        write over what the other has made.
        """
        done = stages(progress, _FINE_TUNED, 1.0, {"writing": 1})("writing")
        shares = (number / (len(compared.tables) + 2) for number in count(1))

        def confirm() -> None:
            done(next(shares))

        for table, rows in compared.tables.items():
            self._lake.write(table, rows, common, confirm)
        named = partial(file_path, project=common.project, dt=common.dt, run_id=common.run_id, diff_id=common.diff_id)
        dataset = low_confidence_jsonl(compared.low_confidence)
        self._lake.write_bytes(named("low_confidence_rows", suffix=".jsonl"), dataset, confirm)
        self._lake.write("runs", [run], common, confirm)


def _run_row(job: DiffJob, inputs: Inputs, method: Method, compared: Comparison) -> RunRow:
    return RunRow(
        attempt=job.attempt,
        steps=job.steps,
        base_model=job.base_model,
        checkpoint=job.checkpoint,
        architecture=inputs.base.architecture,
        parameters=inputs.base.parameters,
        dtype=method.dtype,
        probes_sha=method.probes_sha,
        tokenizer_sha=method.tokenizer_sha,
        sae_shas=method.sae_shas,
        code_version=method.code_version,
        n_probes=len(inputs.probes.probes),
        consistency_verdict=compared.verdict("consistency"),
        robustness_verdict=compared.verdict("robustness"),
        suppression_verdict=compared.verdict("suppression"),
        heaviest_layers=compared.heaviest_layers,
    )
