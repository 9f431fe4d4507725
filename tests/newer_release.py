"""``python -m tests.newer_release ARGUMENTS``: our command as a later release, whose states are of version 2."""

import importlib
import sys

from tests.faults.mutant import Mutation, mutate

PROGRAM = ("-m", "tests.newer_release", "stream")

_TODAY = "UPGRADES: tuple[Upgrade, ...] = ()\n"
_LATER = "UPGRADES: tuple[Upgrade, ...] = (lambda fields: fields,)\n"


def main() -> None:
    for module in ("stream_app.records", "stream_app.histories"):
        mutate(Mutation(module, ((_TODAY, _LATER),)))
    sys.argv = ["streakline", *sys.argv[1:]]
    importlib.import_module("streakline.cli.main").main()


if __name__ == "__main__":
    main()
