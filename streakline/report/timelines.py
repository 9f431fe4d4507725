"""The steps of each attempt, each once and thinned, so that a page of 100,000 steps opens at once."""

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from streakline.report.asking import Asked
from streakline.report.content import Marker, Timeline
from streakline.report.life import Life
from streakline.report.thinning import LONGEST, kept

POINTS = 3 * LONGEST
"""of all attempts together"""
FEWEST = 200
"""of one, however many there are"""

_LARGEST = "list_max(list_filter(map_values(grad_norms), lambda each: isfinite(each)))"
"""as `stream_app.engine.reading.maximum_gradient_norm` has it where there is no `max_grad`"""
_ANY_IS_NO_NUMBER = "len(list_filter(map_values(grad_norms), lambda each: NOT isfinite(each))) > 0"


def timelines_of(asked: Asked, life: Life, markers: Iterable[Marker]) -> tuple[Timeline, ...]:
    """By attempt, oldest first; the steps of `markers` are all there. Raises QueryError.

    A step that was published again counts once, as it came first.
    """
    if not asked.has("steps"):
        return ()
    steps = asked.table(_sql(life, reads_norms=_lacks_maxima(asked, life)))
    signalled = {(marker.attempt, marker.step) for marker in markers}
    attempts = pc.unique(steps["attempt"]).to_pylist()
    longest = max(FEWEST, min(LONGEST, POINTS // max(1, len(attempts))))
    return tuple(
        _timeline(attempt, steps.filter(pc.equal(steps["attempt"], attempt)), signalled, longest)
        for attempt in attempts
    )


def _lacks_maxima(asked: Asked, life: Life) -> bool:
    """Whether the norms of all layers have to be read, which are many."""
    (lacks,) = asked.column(f"SELECT count(*) > count(max_grad) FROM steps WHERE {life.own}")
    return bool(lacks)


def _sql(life: Life, *, reads_norms: bool) -> str:
    norm = f"coalesce(max_grad, {_LARGEST})" if reads_norms else "max_grad"
    # Where a producer gives a maximum, it is no number as soon as one of the norms is none.
    no_number = f"(max_grad IS NULL AND {_ANY_IS_NO_NUMBER})" if reads_norms else "false"
    return f"""
        SELECT DISTINCT ON (attempt, step)
          attempt, step, CASE WHEN isfinite(loss) THEN loss END AS loss,
          {norm} AS norm, CASE WHEN isfinite(norm) THEN norm END AS max_grad,
          NOT isfinite(loss) OR coalesce(NOT isfinite(norm), false) OR coalesce({no_number}, false) AS no_number
        FROM steps
        WHERE {life.own}
        ORDER BY attempt, step, topic, partition, "offset"
    """


def _timeline(attempt: int, steps: pa.Table, signalled: set[tuple[int, int]], longest: int) -> Timeline:
    numbers = steps["step"].to_pylist()
    columns = [steps[name].to_pylist() for name in ("loss", "max_grad")]
    marked = [place for place, step in enumerate(numbers) if (attempt, step) in signalled] if signalled else []
    places = kept(columns, marked, longest)
    loss, max_grad = ([column[place] for place in places] for column in columns)
    return Timeline(
        attempt=attempt,
        steps=tuple(numbers[place] for place in places),
        loss=tuple(loss),
        max_grad=tuple(max_grad),
        total_steps=len(numbers),
        non_finite=pc.sum(steps["no_number"]).as_py(),
    )
