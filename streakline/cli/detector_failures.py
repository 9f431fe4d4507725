"""Installed detectors that failed while events were judged by hand."""

from typing import TYPE_CHECKING

from streakline.cli.errors import bad_input
from streakline.cli.output import note
from streakline.cli.text import printable

if TYPE_CHECKING:
    from stream_app.engine.own import OwnFailure


class DetectorFailures:
    """The first of each detector is shown as it is met, all are counted."""

    def __init__(self) -> None:
        self._steps: dict[str, int] = {}
        """by detector"""

    def add(self, failure: "OwnFailure") -> None:
        """Tell of one step."""
        if failure.type not in self._steps:
            note(printable(failure.sentence))
        self._steps[failure.type] = self._steps.get(failure.type, 0) + 1

    def raise_if_any(self) -> None:
        """End with one sentence where a detector failed."""
        if self._steps:
            counts = ", ".join(f"{type_} on {steps:,}" for type_, steps in self._steps.items())
            raise bad_input(
                f"installed detectors failed on steps ({counts}; the first of each is above): repair the package; "
                "everything else was judged"
            )
