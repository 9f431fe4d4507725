"""How the scores of a project's checkpoints went, run by run."""

from functools import partial

from msgspec import Struct

from streakline.dashboard.lake_thread import LakeThread
from streakline.report.asking import Asked
from streakline.report.histories import Series, histories_of
from streakline.report.lines import Lines, lines
from workers.lake.session import Session
from workers.lake.statements import quoted

SERIES_SHOWN = 4
REGRESSIONS_SHOWN = 200


class Regression(Struct, frozen=True, kw_only=True):
    """A category in which a run fell behind the one before it."""

    run_id: str
    completed_at: float
    category: str
    score: float
    prior_run_id: str
    prior_score: float
    drop_basis_points: int
    n: int
    significant: bool


class SeriesHistory(Struct, frozen=True, kw_only=True):
    """Runs that may be held against each other: of one base, on the same probes."""

    base_model: str
    base_sha: str
    probes_sha: str
    lines: Lines


class ProjectHistory(Struct, frozen=True, kw_only=True):
    """What the lake has of a project."""

    drawn: tuple[SeriesHistory, ...]
    """that with the newest run first, at most `SERIES_SHOWN`"""
    series_total: int
    regressions: tuple[Regression, ...]
    """newest first, at most `REGRESSIONS_SHOWN`"""


class _Newest(Struct, frozen=True, kw_only=True):
    base_model: str
    base_sha: str
    probes_sha: str
    diff_id: str


class Projects:
    """Read from the lake when a page wants one."""

    def __init__(self, thread: LakeThread) -> None:
        self._thread = thread

    async def get(self, project: str) -> ProjectHistory | None:
        """None where the lake has no diff of the project. Raises QueryError."""
        return await self._thread.run(partial(project_history, project))


def project_history(project: str, session: Session) -> ProjectHistory | None:
    """None where there is no diff of the project. Raises QueryError."""
    asked = Asked(session)
    if not asked.has("runs"):
        return None
    of_project = f"WHERE project = {quoted(project)}"
    newest = asked.rows(
        "runs",
        _Newest,
        f"{of_project} QUALIFY row_number() OVER "
        "(PARTITION BY base_sha, probes_sha ORDER BY created_at DESC, diff_id DESC) = 1 "
        "ORDER BY created_at DESC, diff_id DESC",
    )
    if not newest:
        return None
    return ProjectHistory(
        drawn=tuple(_series(asked, project, each) for each in newest[:SERIES_SHOWN]),
        series_total=len(newest),
        regressions=_regressions(asked, of_project),
    )


def _series(asked: Asked, project: str, newest: _Newest) -> SeriesHistory:
    own = Series(project=project, base_sha=newest.base_sha, probes_sha=newest.probes_sha)
    return SeriesHistory(
        base_model=newest.base_model,
        base_sha=newest.base_sha,
        probes_sha=newest.probes_sha,
        lines=lines(histories_of(asked, own, newest.diff_id), run_id=""),
    )


def _regressions(asked: Asked, of_project: str) -> tuple[Regression, ...]:
    if not asked.has("regressions"):
        return ()
    return asked.typed(
        asked.table(
            "SELECT DISTINCT ON (run_id, diff_id, category) run_id, epoch(created_at) AS completed_at, category, "
            "score, prior_run_id, prior_score, drop_basis_points, n, significant "
            f"FROM regressions {of_project} "
            f"ORDER BY created_at DESC, run_id, diff_id, category LIMIT {REGRESSIONS_SHOWN}"
        ),
        Regression,
    )
