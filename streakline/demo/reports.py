"""A page for each run of the demo."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from streakline.report.page import render
from streakline.report.reading import read_report
from workers.lake.durable import replace
from workers.lake.paths import encoded
from workers.lake.session import Session


def write_reports(lake: Path, folder: Path, run_ids: Iterable[str]) -> list[Path]:
    """Make `folder` anew, with the report of each run in `lake`. Raises `QueryError`."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with Session(str(lake)) as session:
        return [_write(session, run_id, lake, folder / f"{encoded(run_id)}.html") for run_id in run_ids]


def _write(session: Session, run_id: str, lake: Path, file: Path) -> Path:
    replace(file, render(read_report(session, run_id, lake=str(lake))).encode())
    return file
