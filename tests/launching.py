"""Starting a training on several ranks as people do: with a launcher, in processes of their own."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

_ROOT = Path(__file__).parents[1]

TORCHRUN = ("torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1", "--master-port")


class Ended(msgspec.Struct, frozen=True):
    """How the training ended on one rank; each prints a line of it."""

    rank: int
    steps: int
    publishes: bool

    def say(self) -> None:
        """Leave it for `launched`."""
        sys.stdout.write(msgspec.json.encode(self).decode() + "\n")
        sys.stdout.flush()


def torchrun(module: str) -> list[str]:
    """The arguments of Python that start two ranks of `module`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return ["-m", *TORCHRUN, str(port), "-m", module]


def launched(arguments: list[str], environ: Mapping[str, str], *, timeout_seconds: float = 120.0) -> list[Ended]:
    """How it ended on each rank, in their order. Fails where it did, or hangs."""
    own = {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=_ROOT,
        env={**os.environ, **own, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=timeout_seconds)
    finally:
        # The launcher and all that it has started, where they have not ended.
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert process.returncode == 0, err.decode()[-3000:]
    # Found anywhere: Trainer prints lines of its own, and the ranks' lines can meet within one.
    lines = re.findall(rb'\{"rank":[^}]*\}', out)
    return sorted((msgspec.json.decode(line, type=Ended) for line in lines), key=lambda ended: ended.rank)
