"""Starting the ranks of a distributed training on this machine, and what each of them saw."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import msgspec
from torch import distributed

from producers.gradients.norms import Measured

Steps = list[tuple[Measured | None, Measured]]
"""measured, expected"""

_ROOT = Path(__file__).parents[1]


class Outcome(msgspec.Struct, frozen=True):
    """What one rank saw of a scenario."""

    steps: Steps
    warnings: list[str]


def run_ranks(ranks: int, *scenarios: str, folder: Path, timeout_seconds: float = 240.0) -> list[dict[str, Outcome]]:
    """Scenario → outcome, rank by rank, of `ranks` processes that play the scenarios of tests/rank_scenarios.py.

    What they print goes into `folder`. Fails where one of them does, or hangs.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    store = distributed.TCPStore(  # type: ignore[attr-defined]
        "127.0.0.1", port, is_master=True, wait_for_workers=False, master_listen_fd=listener.detach()
    )
    command = [sys.executable, "-m", "tests.rank_scenarios", str(port), str(ranks)]
    environ = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    processes = []
    for rank in range(ranks):
        with (folder / f"{rank}.out").open("wb") as out, (folder / f"{rank}.err").open("wb") as err:
            processes.append(
                subprocess.Popen([*command, str(rank), *scenarios], cwd=_ROOT, env=environ, stdout=out, stderr=err)
            )
    deadline = time.monotonic() + timeout_seconds
    try:
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
    finally:
        for process in processes:
            process.kill()
            process.wait()
        del store
    for rank, process in enumerate(processes):
        assert process.returncode == 0, f"rank {rank}: {(folder / f'{rank}.err').read_text()[-2000:]}"
    lines = [(folder / f"{rank}.out").read_bytes().splitlines() for rank in range(ranks)]
    outcomes = [[msgspec.json.decode(line, type=Outcome) for line in each] for each in lines]
    return [dict(zip(scenarios, each, strict=True)) for each in outcomes]
