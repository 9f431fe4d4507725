"""`make fuzz`: coverage-guided fuzzing of every target, each in a process of its own, and a table of what came of it.

``python -m tests.fuzz [TARGET …]`` divides ``FUZZ_SECONDS`` (600) between the targets. It exits with 1 where there was
a find: an error that is not documented, a crash, 10 s without an answer, or over 2 GiB of memory.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from msgspec import Struct

from streakline.cli.table import print_table
from tests.fuzz.target import CORPUS
from tests.fuzz.targets import FAMILY_OF, TARGETS

FINDS = Path(".streakline/fuzz")
ROOT = Path(__file__).parents[2]
TIMEOUT_SECONDS = 10
MEMORY_MIB = 2048
LONGEST_BYTES = 32_768
STARTING_SECONDS = 300
"""beyond the time it fuzzes: importing takes a while where every module is instrumented"""


class Outcome(Struct, frozen=True):
    """What came of one target."""

    name: str
    executions: int
    coverage: int
    """edges of our own code, as far as it was instrumented"""
    finds: tuple[Path, ...]
    log: Path
    is_broken: bool
    """it ended by itself without a find"""


def main() -> int:
    """The exit code."""
    seconds = int(os.environ.get("FUZZ_SECONDS", "600"))
    names = sys.argv[1:] or sorted(TARGETS)
    each = max(1, seconds // len(names))
    print(f"{len(names)} targets, {each} s each; finds go to {FINDS}", flush=True)
    outcomes = []
    for name in names:
        outcomes.append(_fuzzed(name, each))
        print(f"{name}: {outcomes[-1].executions:,} executions, {len(outcomes[-1].finds)} finds", flush=True)
    print_table(
        ("target", "executions", "coverage", "finds"),
        [(each.name, f"{each.executions:,}", str(each.coverage), str(len(each.finds))) for each in outcomes],
    )
    for outcome in outcomes:
        for find in outcome.finds:
            print(f"{outcome.name}: {find} (see {outcome.log}); once it is mended: cp {find} {CORPUS / outcome.name}/")
        if outcome.is_broken:
            print(f"{outcome.name}: it could not be fuzzed, see {outcome.log}")
    return int(any(outcome.finds or outcome.is_broken for outcome in outcomes))


def _fuzzed(name: str, seconds: int) -> Outcome:
    folder = FINDS / name
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "log"
    began = time.time()
    with tempfile.TemporaryDirectory(prefix="streakline-fuzz-") as grown, log.open("wb") as output:
        options = (
            f"-max_total_time={seconds}",
            f"-timeout={TIMEOUT_SECONDS}",
            f"-rss_limit_mb={MEMORY_MIB}",
            f"-max_len={LONGEST_BYTES}",
            f"-artifact_prefix={folder}/",
            "-print_final_stats=1",
        )
        child = [sys.executable, "-m", "tests.fuzz.child", FAMILY_OF[name], name, *options, grown, str(CORPUS / name)]
        try:
            code = subprocess.run(
                child, stdout=output, stderr=output, cwd=ROOT, timeout=seconds + STARTING_SECONDS, check=False
            ).returncode
        except subprocess.TimeoutExpired:
            code = -1
    finds = tuple(path for path in sorted(folder.iterdir()) if path != log and path.stat().st_mtime >= began - 1)
    text = log.read_text(errors="replace")
    return Outcome(
        name,
        _last(r"stat::number_of_executed_units:\s*(\d+)", text) or _last(r"#(\d+)", text),
        _last(r"cov: (\d+)", text),
        finds,
        log,
        code != 0 and not finds,
    )


def _last(pattern: str, text: str) -> int:
    found = re.findall(pattern, text)
    return int(found[-1]) if found else 0


if __name__ == "__main__":
    sys.exit(main())
