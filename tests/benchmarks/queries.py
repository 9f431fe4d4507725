"""The questions of docs/queries.md, asked of 2,000 runs before and after `compact`."""

import os
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from unittest.mock import patch

from tests.benchmarks.many_runs import DAYS, PROJECTS, RUNS, write_many
from tests.documents import ROOT, blocks
from workers.archive.compact import compact_archive
from workers.lake.compact import compact
from workers.lake.session import Session

ROUNDS = 5


def main() -> None:
    """Print what each takes."""
    print(f"## {RUNS:,} runs of {PROJECTS} projects in {DAYS} days, every question in a session of its own")
    with tempfile.TemporaryDirectory(prefix="streakline-bench-") as folder:
        root = Path(folder)
        # Not what is measured here: 16,000 files take their time.
        with patch.object(os, "fsync"):
            write_many(root)
            _tell_size(root, "before")
            before = dict(_asked(root, rounds=1))
            now = time.time()
            started = time.perf_counter()
            for at in (now, now + 7200):
                compact(str(root), now=at)
                compact_archive(str(root), {"streakline.steps": "steps"}, now=at)
            print(f"compacted in {time.perf_counter() - started:.0f} s")
        _tell_size(root, "after")
        print("| question | before | after: median of 5 (highest), processor time |")
        print("|---|---|---|")
        for heading, (wall, processor) in _asked(root, rounds=ROUNDS):
            after = f"{median(wall):.2f} s ({max(wall):.2f}), {median(processor):.2f} s"
            print(f"| {heading} | {before[heading][0][0]:.1f} s | {after} |", flush=True)


def _asked(root: Path, *, rounds: int) -> Iterator[tuple[str, tuple[Sequence[float], Sequence[float]]]]:
    """Heading → seconds on the clock and of the processor, of opening, asking and fetching."""
    for heading, sql in _questions():
        wall, processor = [], []
        for _ in range(rounds):
            clock, own = time.perf_counter(), time.process_time()
            with Session(str(root)) as session:
                rows = sum(1 for _ in session.ask(sql).rows)
            wall.append(time.perf_counter() - clock)
            processor.append(time.process_time() - own)
        assert rows, f"{heading} has no answer, and what it takes to find none is not what is asked"
        yield heading, (wall, processor)


def _questions() -> Iterator[tuple[str, str]]:
    guide = (ROOT / "docs" / "queries.md").read_text()
    for heading, section in re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", guide, re.DOTALL | re.MULTILINE):
        for sql in blocks(section, "sql"):
            yield heading, sql


def _tell_size(root: Path, when: str) -> None:
    paths = list(root.rglob("*.parquet"))
    print(f"{when}: {len(paths):,} files, {sum(path.stat().st_size for path in paths) / 2**20:,.0f} MiB", flush=True)
