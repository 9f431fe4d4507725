"""`streakline detect`: the signal engine over recorded events, without Kafka."""

import contextlib
import gc
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streakline.cli.errors import CommandError, ExitCode, bad_input
from streakline.cli.options import EVENT_FILES, Lake

if TYPE_CHECKING:
    from streakline.cli.inputs import Input
    from streakline.cli.lines import Problems
    from streakline.cli.output import Output
    from streakline.cli.progress import Advance
    from stream_app.engine.replay import Replay
    from stream_app.engine.thresholds import ThresholdPolicy


def detect(
    files: Annotated[list[Path] | None, EVENT_FILES] = None,
    *,
    from_lake: Annotated[
        bool, typer.Option("--from-lake", help="judge what `streakline archive` wrote, instead of files")
    ] = False,
    lake: Lake = None,
    run: Annotated[
        list[str] | None, typer.Option(metavar="RUN", help="of the lake only this run; may be given several times")
    ] = None,
    project: Annotated[str | None, typer.Option(help="of the lake's signals only those of this project")] = None,
    since: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], metavar="DAY", help="of the lake's signals only those from this UTC day on"),
    ] = None,
    output: Annotated[
        Path, typer.Option(metavar="FILE", help="where the signals go; - is stdout", show_default=True)
    ] = Path("-"),
    thresholds: Annotated[
        Path | None,
        typer.Option(envvar="STREAKLINE_THRESHOLDS", metavar="FILE.toml", help="bounds of the detectors, as TOML"),
    ] = None,
) -> None:
    """Read step events as JSON lines and write the signals they fire as JSON lines.

    The signals are those that the stream application emits for the same events in the same order. Lines that
    hold no event are told of on stderr and skipped; the exit code is 1 then, and where an installed detector failed.

    Also read: Hugging Face's trainer_state.json, TensorBoard event files and folders of them, CSV (of W&B and others).

    With --from-lake: what would these thresholds have fired on the runs that are archived? Runs are judged from their
    first step on, whatever is shown of them.
    """
    if from_lake:
        if files:
            raise typer.BadParameter("the events come from the lake: leave the files out", param_hint="--from-lake")
        from streakline.cli.lake_events import Wanted, judge_lake

        begin = 0.0 if since is None else since.replace(tzinfo=UTC).timestamp()
        judge_lake(lake, Wanted(runs=tuple(run or ()), project=project, since=begin), _policy(thresholds), output)
        return
    if run or project is not None or since is not None:
        raise typer.BadParameter("these go with --from-lake", param_hint="--run, --project, --since")
    if not files:
        raise CommandError("Missing argument 'FILE...': see `streakline detect --help`", ExitCode.USAGE)
    _judge_files(files, output, _policy(thresholds))


def _judge_files(files: Sequence[Path], output: Path, policy: "ThresholdPolicy") -> None:
    from streakline.cli.detector_failures import DetectorFailures
    from streakline.cli.inputs import open_inputs, size_of_inputs
    from streakline.cli.lines import Problems
    from streakline.cli.output import open_output
    from streakline.cli.progress import progress
    from stream_app.engine.replay import Replay

    problems, failures = Problems(), DetectorFailures()
    inputs = open_inputs(files, problems)
    _check_distinct(files, output)
    with (
        open_output(output) as signals,
        progress("detecting", total=size_of_inputs(inputs), unit="bytes", beside_output=output == Path("-")) as advance,
    ):
        _judge(inputs, Replay(policy, failures.add), signals, problems, advance)
    problems.raise_if_any()
    failures.raise_if_any()


def _judge(
    inputs: Sequence["Input"], replay: "Replay", signals: "Output", problems: "Problems", advance: "Advance"
) -> None:
    from producers.codec import MalformedEvent, encode
    from streakline.cli.inputs import read_inputs
    from streakline.cli.lines import decode_line
    from streakline.cli.output import note
    from stream_app.engine.streaks import TooManyLayers

    def on_read(size_bytes: int) -> None:
        signals.flush()
        advance(size_bytes)

    with rare_collections():
        for line in read_inputs(inputs, on_read=on_read, on_note=note):
            problems.lines += 1
            try:
                signal = replay.apply(decode_line(line))
            except (MalformedEvent, TooManyLayers) as error:
                problems.add(line, str(error))
                continue
            if signal is not None:
                signals.json_line(encode(signal))


@contextlib.contextmanager
def rare_collections() -> Iterator[None]:
    """Events come and go by the hundred thousand and hold no cycles: looking for some costs a tenth of the speed."""
    before = gc.get_threshold()
    gc.set_threshold(50_000)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _policy(path: Path | None) -> "ThresholdPolicy":
    from producers.extensions import BrokenExtension
    from streakline.cli.text import printable
    from stream_app.engine.thresholds import load_policy
    from stream_app.installed import installed_detectors

    try:
        return load_policy(path, [each.judge for each in installed_detectors()])
    except BrokenExtension as broken:
        raise bad_input(printable(str(broken))) from None
    except OSError as error:
        raise bad_input(f"cannot read the thresholds in {printable(str(path))}: {error.strerror}") from None
    except ValueError as error:
        raise bad_input(f"these are no thresholds: {printable(str(error))}") from None


def _check_distinct(files: Sequence[Path], output: Path) -> None:
    """An output that is made anew must not be an input."""
    standard = Path("-")
    if output != standard and output.exists() and any(file != standard and file.samefile(output) for file in files):
        raise typer.BadParameter("this is one of the files to read", param_hint="--output")
