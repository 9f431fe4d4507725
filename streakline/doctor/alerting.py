"""Whether `streakline up` can start Prometheus and Alertmanager."""

import subprocess
from collections.abc import Iterator

from streakline.alerting import AlertingError, find_binaries
from streakline.doctor.findings import Finding, ok, warning

_SUBJECT = "alerting"
_TIMEOUT_SECONDS = 20.0


def look_at_alerting() -> Iterator[Finding]:
    """The programs and their versions. Raises OSError where one cannot be started."""
    try:
        found = find_binaries()
    except AlertingError as error:
        yield ok(_SUBJECT, f"`streakline up` would go without alerts: {error}")
        return
    for program in found:
        yield _version_of(program)


def _version_of(program: str) -> Finding:
    try:
        ended = subprocess.run(  # noqa: S603 - a list, and no shell
            [program, "--version"], capture_output=True, timeout=_TIMEOUT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return warning(_SUBJECT, f"{program} does not say its version", "start it by hand, and see what it says")
    # Either may say it on either.
    first = (ended.stdout or ended.stderr).decode(errors="replace").partition("\n")[0]
    return ok(_SUBJECT, f"{first.partition(' (')[0]} for `streakline up`")
