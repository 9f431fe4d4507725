"""What publishers of this machine have not been able to send."""

from collections.abc import Iterator

from producers.leftovers import leftovers
from producers.spool.folder import has_owner
from producers.spool.settings import SpoolSettings
from streakline.doctor.disk import look_at_folder
from streakline.doctor.findings import Finding, of_error, warning

_SUBJECT = "spool"


def look_at_spool(settings: SpoolSettings) -> Iterator[Finding]:
    """Whether publishers can write there, and what waits. Raises RuntimeError where there is no home."""
    if settings.spool_max_bytes:
        needed = settings.spool_min_free_bytes
        yield from look_at_folder(_SUBJECT, settings.root, "STREAKLINE_SPOOL_DIR", needed_bytes=needed)
    problems: list[str] = []
    dead = 0
    for left in leftovers(settings.root, on_problem=problems.append):
        try:
            dead += not has_owner(left.path)
        except OSError as error:
            problems.append(str(error))
    yield from (of_error(_SUBJECT, ValueError(problem)) for problem in problems)
    if dead:
        runs = "1 publisher that is" if dead == 1 else f"{dead:,} publishers that are"
        yield warning(
            _SUBJECT,
            f"events of {runs} dead wait in {settings.root}",
            "the next publisher on this machine sends them, or `streakline spool flush`",
        )
