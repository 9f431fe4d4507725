"""Every benchmark, or those named on the command line, one after the other."""

import os
import platform
import subprocess
import sys
from importlib import import_module
from pathlib import Path

BENCHMARKS = (
    "engine",
    "blind_spots",
    "gradients",
    "publisher",
    "overhead",
    "fleet",
    "detect",
    "archive",
    "stream",
    "scrape",
    "scale",
    "recovery",
    "live",
    "pages",
    "new_features",
    "sae_diff",
    "queries",
    "report",
    "report_page",
    "dashboard",
)


def machine() -> str:
    """Processor, cores, interpreter."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    processor = models[0] if models else platform.processor()
    return f"{processor}, {os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}"


def main() -> None:
    """Run them."""
    names = sys.argv[1:] or BENCHMARKS
    unknown = set(names) - set(BENCHMARKS)
    if unknown:
        sys.exit(f"no benchmark {', '.join(sorted(unknown))}: there are {', '.join(BENCHMARKS)}")
    if len(names) == 1:
        import_module(f"tests.benchmarks.{names[0]}").main()
        return
    print(f"# {machine()}", flush=True)
    for name in names:
        print(flush=True)
        # Each in a process of its own: a child's peak memory counts what its parent had when it was made.
        subprocess.run([sys.executable, "-m", "tests.benchmarks", name], check=True)


if __name__ == "__main__":
    main()
