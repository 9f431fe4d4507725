"""How each category developed over the project's runs, up to now."""

from collections.abc import Iterator
from itertools import groupby

from msgspec import Struct

from streakline.report.asking import Asked
from streakline.report.content import CategoryHistory, CategoryPoint
from workers.lake.statements import quoted

RUNS_SHOWN = 50

_REGRESSIONS = """
    SELECT DISTINCT ON (run_id, diff_id, category)
      run_id, diff_id, category, prior_run_id, drop_basis_points, significant
    FROM regressions WHERE project = {project} ORDER BY run_id, diff_id, category, signal_id
"""
_NO_REGRESSIONS = """
    SELECT NULL::VARCHAR AS run_id, NULL::VARCHAR AS diff_id, NULL::VARCHAR AS category,
      NULL::VARCHAR AS prior_run_id, NULL::BIGINT AS drop_basis_points, NULL::BOOLEAN AS significant
"""


class Series(Struct, frozen=True, kw_only=True):
    """What may be held against each other: one project's diffs with the same base and the same probes."""

    project: str
    base_sha: str
    probes_sha: str


class _Row(Struct, frozen=True, kw_only=True):
    category: str
    run_id: str
    diff_id: str
    completed_at: float
    score: float
    n: int
    standard_error: float | None
    prior_run_id: str | None
    drop_basis_points: int | None
    significant: bool | None


def histories_of(asked: Asked, series: Series, diff_id: str) -> tuple[CategoryHistory, ...]:
    """The last `RUNS_SHOWN` runs, by category; the run of `diff_id` is one of them. Raises QueryError.

    A run that was diffed several times counts with its latest, the run of `diff_id` with that one.
    """
    if not asked.has("model_diff"):
        return ()
    rows = asked.typed(asked.table(_sql(series, diff_id, has_regressions=asked.has("regressions"))), _Row)
    return tuple(_histories(rows))


def _histories(rows: tuple[_Row, ...]) -> Iterator[CategoryHistory]:
    for category, own in groupby(rows, key=lambda row: row.category):
        points = tuple(
            CategoryPoint(
                run_id=row.run_id,
                diff_id=row.diff_id,
                completed_at=row.completed_at,
                score=row.score,
                n=row.n,
                standard_error=row.standard_error,
                regressed=row.drop_basis_points is not None,
                drop_basis_points=row.drop_basis_points,
                significant=row.significant,
                prior_run_id=row.prior_run_id,
            )
            for row in own
        )
        yield CategoryHistory(category=category, points=points)


def _sql(series: Series, diff_id: str, *, has_regressions: bool) -> str:
    project = quoted(series.project)
    regressions = _REGRESSIONS.format(project=project) if has_regressions else _NO_REGRESSIONS
    return f"""
        WITH latest AS (
          SELECT run_id, diff_id, created_at, diff_id = {quoted(diff_id)} AS is_own
          FROM runs
          WHERE project = {project}
            AND base_sha = {quoted(series.base_sha)} AND probes_sha = {quoted(series.probes_sha)}
          QUALIFY row_number() OVER (PARTITION BY run_id ORDER BY is_own DESC, created_at DESC, diff_id DESC) = 1
        ), shown AS (
          SELECT * FROM latest ORDER BY is_own DESC, created_at DESC, diff_id DESC LIMIT {RUNS_SHOWN}
        )
        SELECT category, run_id, diff_id, epoch(shown.created_at) AS completed_at, fine_tuned AS score, n,
          standard_error, prior_run_id, drop_basis_points, significant
        FROM (
          SELECT category, run_id, diff_id, fine_tuned, n, standard_error FROM model_diff
          WHERE project = {project} AND score = 'accuracy' AND scope = 'category' AND category IS NOT NULL
        ) AS scores
        JOIN shown USING (run_id, diff_id)
        LEFT JOIN ({regressions}) AS fallen USING (run_id, diff_id, category)
        ORDER BY category, shown.created_at, run_id
    """
