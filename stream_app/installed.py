"""The detectors of installed packages, as they are when a worker or a command begins."""

import re

from msgspec import Struct

from producers.events import OWN_TYPE
from producers.extensions import BrokenExtension, load, offered
from stream_app.engine.own import OwnDetector, OwnJudge

GROUP = "streakline.detectors"
MAX_DETECTORS = 16
"""each has a label in the metrics, and room in the state of every run"""


class InstalledDetector(Struct, frozen=True):
    """A detector, and the version of the package that it came with."""

    judge: OwnJudge
    version: str


def installed_detectors() -> tuple[InstalledDetector, ...]:
    """All of them, by type, with their default bounds. Raises `BrokenExtension`."""
    points = offered(GROUP)
    if len(points) > MAX_DETECTORS:
        raise BrokenExtension(
            f"{len(points)} detectors are installed and there is room for {MAX_DETECTORS}: uninstall some of "
            f"{', '.join(points)}."
        )
    found = []
    for type_, point in points.items():
        if re.fullmatch(OWN_TYPE, type_) is None:
            raise BrokenExtension(
                f"{type_!r} of {point.value!r} is no type of a signal: name the entry point by lower-case letters, "
                "digits and _, with one dot, as in team.check."
            )
        detector = load(point)
        if not isinstance(detector, OwnDetector):
            raise BrokenExtension(
                f"The detector {type_!r} from {point.value!r} is a {type(detector).__name__}; make it an OwnDetector "
                "of stream_app.engine.own."
            )
        found.append(InstalledDetector(detector.named(type_), "" if point.dist is None else point.dist.version))
    return tuple(found)
