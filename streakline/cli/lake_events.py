"""`streakline detect --from-lake`: the engine over what the archive holds of the steps topic."""

from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from streakline.cli.errors import bad_input, not_installed
from streakline.cli.options import settings_of, topic_settings

if TYPE_CHECKING:
    from producers.events import Signal
    from streakline.cli.detector_failures import DetectorFailures
    from stream_app.engine.thresholds import ThresholdPolicy
    from workers.archive.reading import ArchivedSteps


class Wanted(Struct, frozen=True, kw_only=True):
    """Which runs are judged, and which of their signals are shown."""

    runs: tuple[str, ...]
    """all where none is named"""
    project: str | None
    since: float
    """Unix seconds"""

    def shows(self, signal: "Signal") -> bool:
        """Whether `signal` is one of those."""
        return self.project in {None, signal.project} and signal.ts >= self.since


def judge_lake(lake: str | None, wanted: Wanted, policy: "ThresholdPolicy", output: Path) -> None:
    """Write the signals that the archived events fire under `policy`, partition by partition.

    Raises `CommandError` where the lake cannot be read, or has nothing of a run that is wanted.
    """
    from streakline.extras import missing_for_archive

    if (missing := missing_for_archive()) is not None:
        raise not_installed("reading the lake", missing, "workers")
    from pyarrow import ArrowInvalid

    from producers.topics import topic_names
    from streakline.cli.detector_failures import DetectorFailures
    from workers.archive.reading import ArchivedSteps
    from workers.settings import ArchiveSettings
    from workers.uris import said, shown

    failures = DetectorFailures()
    root, topic = settings_of(ArchiveSettings, lake=lake).lake, topic_names(topic_settings()).steps
    known_as = shown(root)
    try:
        archived = ArchivedSteps(root, topic)
        if not archived.size_bytes:
            raise bad_input(
                f"the lake {known_as} holds nothing of topic {topic}: `streakline archive` writes it; "
                "STREAKLINE_LAKE and STREAKLINE_TOPIC_PREFIX say where and what to read"
            )
        unseen, refused = _judge(archived, wanted, policy, output, failures)
    except (ArrowInvalid, ValueError) as error:
        raise bad_input(f"the lake {known_as} cannot be read: {said(error, root)}") from None
    except OSError as error:
        raise bad_input(
            f"the lake {known_as} cannot be read ({said(error, root)}): run it again, files may have been merged"
        ) from None
    if unseen:
        raise bad_input(
            f"the lake {known_as} holds nothing of {', '.join(unseen)}: its table run_events says what it has"
        )
    if refused:
        raise bad_input(f"left out {refused:,} of the archived events: with them a run has too many dead layers")
    failures.raise_if_any()


def _judge(
    archived: "ArchivedSteps", wanted: Wanted, policy: "ThresholdPolicy", output: Path, failures: "DetectorFailures"
) -> tuple[list[str], int]:
    """The wanted runs that were not there, and the number of events that cannot be judged."""
    from producers.codec import encode
    from streakline.cli.detect import rare_collections
    from streakline.cli.output import STDOUT, open_output
    from streakline.cli.progress import progress
    from stream_app.engine.replay import Replay
    from stream_app.engine.streaks import TooManyLayers

    unseen, refused = set(wanted.runs), 0
    with (
        open_output(output) as signals,
        progress("detecting", total=archived.size_bytes, unit="bytes", beside_output=output == STDOUT) as advance,
        rare_collections(),
    ):
        for events in archived.partitions(wanted.runs, on_read=advance):
            # A run is on one partition: its state need not outlive it.
            replay = Replay(policy, failures.add)
            for event in events:
                unseen.discard(event.run_id)
                try:
                    signal = replay.apply(event)
                except TooManyLayers:
                    refused += 1
                    continue
                if signal is not None and wanted.shows(signal):
                    signals.json_line(encode(signal))
    return sorted(unseen), refused
