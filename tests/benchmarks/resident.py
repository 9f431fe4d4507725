"""What a process takes of the machine, as Linux has it: asking it does not take anything of the process."""

import os
from pathlib import Path


def processor_seconds(pid: int) -> float:
    """Of all its threads, since it was started."""
    # Behind the name, which may hold anything: state, ten numbers, then the time in user and in kernel mode.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    """Of memory."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("VmRSS:"))
    return int(line.split()[1]) << 10


def folder_bytes(folder: Path) -> int:
    """Of all files below it."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
