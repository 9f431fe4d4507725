"""Build the images, run all of deploy/compose.yaml that can be run here, and say of each thing whether it was so."""

import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from subprocess import CalledProcessError

from tests.composed import composed
from tests.containers import checks, images
from tests.containers.running import NOT_RUN, Running, running
from tests.small_diffs import write_all

Check = Callable[[Running], str]


def main() -> None:
    """The exit status is 1 where something was not as it has to be."""
    whole = composed()
    if not images.has_base():
        _said("a base of Debian 12", images.make_base)
    for name, target in {service.image: service.target for service in whole.ours.values()}.items():
        _said(f"built {name}", partial(images.build_ours, target, name))
        print(f"      {images.size_mib(name)} MiB", flush=True)
    _said("built the stand-ins", images.build_standins)
    services = sorted(set(whole.services) - NOT_RUN)
    print(f"not run: {', '.join(sorted(NOT_RUN))}", flush=True)
    failed = 0
    # Containers look into it as other users than root.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        write_all(folder / "models")
        for path in (folder / "models").rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        began = time.monotonic()
        with running(folder, services) as project:
            print(f"ok    {len(services)} services are up and well ({time.monotonic() - began:.0f} s)", flush=True)
            for check in checks.ALL:
                failed += not _holds(check, project)
    sys.exit(1 if failed else 0)


def _said(what: str, do: Callable[[], None]) -> None:
    began = time.monotonic()
    do()
    print(f"ok    {what} ({time.monotonic() - began:.0f} s)", flush=True)


def _holds(check: Check, project: Running) -> bool:
    try:
        print(f"ok    {check(project)}", flush=True)
    except (AssertionError, CalledProcessError) as error:
        print(f"WRONG {check.__name__}: {error}", flush=True)
        return False
    return True


if __name__ == "__main__":
    main()
