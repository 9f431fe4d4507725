"""The real diff worker, forked from a process that has imported it already, that notes what it makes, and may kill
itself with SIGKILL at one of the `POINTS` of a diff.

Every measurement of a base and every diff that is made, not found, is noted as a line in a file: ``begin RUN PID`` …
"""

import gc
import math
import multiprocessing
import os
import re
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Literal, cast

import torch
from msgspec import Struct, structs

import workers.base_cache.cache
import workers.diff_worker
import workers.job_runner
import workers.models.loading
import workers.results
from producers.events import DiffCompleted
from producers.kafka import KafkaSettings
from producers.topics import TopicSettings
from streakline.processes import _die_with_parent
from workers.coordination.leases import Lease
from workers.diff import DiffMaker
from workers.inputs import Inputs
from workers.jobs import DiffJob
from workers.lake.tables import TABLES
from workers.model_pair import ModelPair
from workers.pending import Pending
from workers.progress import Progress, Stage
from workers.serve import DiffService
from workers.settings import DiffSettings, DiffWorkerSettings

CACHED = ("behaviour", "answers", "layers", "entry")
DATASET = "dataset"
"""the low-confidence rows as JSON lines"""
WRITTEN = (*(table for table in TABLES if table not in {"runs", "regressions"}), DATASET, "runs")
_WHOLE = {"cached entry", "sae_feature_diff", "runs"}
_STAGES: tuple[Stage, ...] = ("behaviour", "calibration", "features")


def _points_of_model(model: str) -> list[str]:
    stages = [f"within {stage} of {model}" for stage in _STAGES]
    return [f"before loading {model}", f"after loading {model}", f"before attention of {model}", *stages]


def _points_of_files(*files: str) -> list[str]:
    """Before it is moved a file is whole: for readers the same as half of it, so that a few of these will do."""
    moments = ("halfway through", "before moving", "after moving")
    return [f"{moment} {file}" for file in files for moment in moments if file in _WHOLE or moment != "before moving"]


BASE_POINTS = (
    "within reading",
    *_points_of_model("base"),
    *_points_of_files(*(f"cached {part}" for part in CACHED)),
    "before letting go of the base",
    "after letting go of the base",
)
"""where the base is not cached yet"""
POINTS = (
    *BASE_POINTS,
    *_points_of_model("fine-tuned"),
    *_points_of_files(*WRITTEN),
    "before telling",
    "before acknowledgement",
    "after telling",
    "before committing",
    "after committing",
    "before letting go of the job",
    "after letting go of the job",
)
"""in the order of a diff, but for the last four: the commit and the end of the lease are in two threads"""


class Setup(Struct, frozen=True, kw_only=True):
    """What a worker is started with."""

    kafka: KafkaSettings
    topics: TopicSettings
    settings: DiffWorkerSettings
    diffs: DiffSettings
    log: Path
    notes: Path | None
    """None: none are taken"""
    point: str | None = None
    """where it kills itself"""
    number: signal.Signals = signal.SIGKILL
    """or what else it sends to itself there, once"""
    digits: float = 0.0
    """added to each score: as another device would sum it up"""
    without: Literal["fencing", "commit last"] | None = None
    """the guard that is taken away"""


class Worker:
    """A running one. May be asked from any thread."""

    _one_asks = threading.Lock()
    """`multiprocessing` reads an exit status once, and asks for those of all its children wherever one is started"""

    def __init__(self, setup: Setup) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])
        with self._one_asks:
            self._process = context.Process(target=_work, args=(setup,), daemon=True)
            self._process.start()

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    @property
    def exit_status(self) -> int | None:
        """None while it runs; negative for the signal that ended it."""
        with self._one_asks:
            return self._process.exitcode

    def poll(self) -> int | None:
        """As of a `Popen`, like those below."""
        return self.exit_status

    def send_signal(self, number: signal.Signals) -> None:
        if self.exit_status is None:
            os.kill(self.pid, number)

    def wait(self, timeout: float | None = None) -> int:
        deadline = time.monotonic() + (math.inf if timeout is None else timeout)
        while (status := self.exit_status) is None:
            if time.monotonic() >= deadline:
                raise subprocess.TimeoutExpired("a diff worker", timeout or 0.0)
            time.sleep(0.02)
        return status

    def terminate(self) -> None:
        """Ask it to end in order."""
        self._process.terminate()

    def kill(self) -> None:
        """End it, where it has not ended."""
        with self._one_asks:
            self._process.kill()
            self._process.join()


def _work(setup: Setup) -> None:
    _die_with_parent()
    # A collection of garbage, of which each diff asks for two, then looks at what is new here only.
    gc.freeze()
    with setup.log.open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    # Waits that cost time and prove nothing.
    workers.job_runner._LEASED_ELSEWHERE_SECONDS = 0.2
    workers.base_cache.cache._POLL_SECONDS = 0.2
    match setup.without:
        case "fencing":
            _put(Lease, "confirm", lambda _: True)
            _put(Lease, "is_lost", False)
        case "commit last":
            _put(Pending, "committable", _all_that_is_read)
        case None:
            pass
    _Watched(setup).watch()
    DiffService(setup.kafka, setup.topics, setup.settings, setup.diffs).run()


def _all_that_is_read(pending: Pending) -> dict[int, int]:
    return {partition: queue[-1].offset + 1 for partition, queue in pending._queues.items() if queue}


class _Watched:
    """This process, which passes the points."""

    def __init__(self, setup: Setup) -> None:
        self._notes = setup.notes
        self._point = setup.point
        self._number = setup.number
        self._digits = setup.digits
        self._model = ""
        self._told: Counter[str] = Counter()

    def watch(self) -> None:
        """Notes what is made; where there is a point, everything that is one is wrapped."""
        self._watch_diffs()
        if self._digits:
            self._change_scores()
        if self._point is None:
            return
        self._watch_files()
        self._wrap(torch.nn.functional, "scaled_dot_product_attention", lambda *_, **__: f"attention of {self._model}")
        self._wrap(workers.models.loading, "_load_whole", self._loading)
        self._wrap(workers.results.Results, "completed", lambda *_: "telling")
        self._wrap(_own(workers.results, "Producer"), "flush", lambda *_: "acknowledgement")
        self._wrap(_own(workers.diff_worker, "Consumer"), "commit", lambda *_, **__: "committing")
        self._wrap(Lease, "release", _letting_go)

    def _watch_diffs(self) -> None:
        make, measure_base = DiffMaker.__call__, ModelPair.measure_base

        def noted(maker: DiffMaker, job: DiffJob, progress: Progress) -> DiffCompleted:
            begun = False

            def told(stage: Stage, done: float, /) -> None:
                nonlocal begun
                progress(stage, done)
                if not begun and stage not in {"reading", "waiting"}:
                    self._note(f"begin {job.run_id}")
                    begun = True
                self._told[stage + self._model] += 1
                # At the beginning of the stage and after its first batch.
                if self._told[stage + self._model] == 2:
                    self._pass("within", stage if stage == "reading" else f"{stage} of {self._model}")

            event = make(maker, job, told)
            if begun:
                self._note(f"end {job.run_id}")
            return event

        def measured(pair: ModelPair, begin: Any) -> Any:
            measurement = measure_base(pair, begin)
            inputs: Inputs = pair._inputs
            self._note(f"measured {inputs.base.folder.name}")
            return measurement

        _put(DiffMaker, "__call__", noted)
        _put(ModelPair, "measure_base", measured)

    def _change_scores(self) -> None:
        compare = ModelPair.compare

        def compared(pair: ModelPair, *arguments: Any) -> Any:
            comparison = compare(pair, *arguments)
            scores = tuple(structs.replace(row, base=row.base + self._digits) for row in comparison.scores)
            return structs.replace(comparison, scores=scores, tables={**comparison.tables, "model_diff": scores})

        _put(ModelPair, "compare", compared)

    def _watch_files(self) -> None:
        real = Path.open

        def opened(path: Path, mode: str = "r", *args: Any, **options: Any) -> Any:
            file = real(path, mode, *args, **options)
            if mode == "xb" and self._point == f"halfway through {_name_of(path)}":
                return _HalfWritten(file, self._die)
            return file

        _put(Path, "open", opened)
        self._wrap(os, "replace", lambda _, path: f"moving {_name_of(Path(path))}")

    def _wrap(self, owner: Any, name: str, thing: Callable[..., str]) -> None:
        real = getattr(owner, name)

        def wrapped(*args: Any, **options: Any) -> Any:
            passed = thing(*args, **options)
            self._pass("before", passed)
            result = real(*args, **options)
            self._pass("after", passed)
            return result

        _put(owner, name, wrapped)

    def _loading(self, folder: Path, *_: object) -> str:
        self._model = "base" if "base" in folder.name else "fine-tuned"
        return f"loading {self._model}"

    def _pass(self, moment: str, thing: str) -> None:
        if self._point == f"{moment} {thing}":
            self._die()

    def _die(self) -> None:
        self._point = None
        self._note("killed -")
        # To this thread: sent to the process, SIGSTOP would let it run on until another one has taken it.
        signal.pthread_kill(threading.get_ident(), self._number)

    def _note(self, line: str) -> None:
        if self._notes is not None:
            with self._notes.open("a") as file:
                file.write(f"{line} {os.getpid()}\n")


class _HalfWritten:
    """A file whose writer is killed in the middle of its first write; the half is in the file, not in a buffer."""

    def __init__(self, file: IO[bytes], die: Callable[[], None]) -> None:
        self._file = file
        self._die = die

    def __enter__(self) -> "_HalfWritten":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, data: bytes) -> None:
        half = len(data) // 2
        self._file.write(data[:half])
        self._file.flush()
        self._die()
        self._file.write(data[half:])

    def flush(self) -> None:
        self._file.flush()

    def fileno(self) -> int:
        return self._file.fileno()


def _name_of(path: Path) -> str:
    """Which of `CACHED` or `WRITTEN` it is, or the temporary twin of."""
    folder = path.parents[2].name
    if folder == "base_cache":
        match = re.match(r"\.?([a-z]+)", path.name)
        return f"cached {match[1]}" if match else ""
    return DATASET if ".jsonl" in path.name else path.parents[3].name


def _letting_go(lease: Lease) -> str:
    return f"letting go of the {'base' if 'lease:base/' in lease._keys[0] else 'job'}"


def _own(module: Any, name: str) -> type[Any]:
    """The compiled class of that name in `module`, replaced by one that can be changed."""
    own = type(name, (getattr(module, name),), {})
    _put(module, name, own)
    return cast("type[Any]", own)


def _put(owner: Any, name: str, thing: object) -> None:
    setattr(owner, name, thing)
