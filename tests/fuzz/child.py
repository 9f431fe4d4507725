"""Fuzzes one target until its time is over: ``child FAMILY TARGET [libFuzzer's options] [corpus …]``."""

import importlib
import sys


def main() -> None:
    """Does not return."""
    try:
        import atheris
    except ImportError:
        sys.exit("atheris is not installed: `make fuzz` installs it, or pip install 'streakline[fuzz]'")
    # What decides is instrumented: tomllib is the one decoder in Python that is not ours.
    with atheris.instrument_imports(include=["producers", "stream_app", "workers", "streakline", "tomllib"]):
        # No more than that: with everything instrumented, importing takes longer than fuzzing.
        family = importlib.import_module(sys.argv.pop(1))
    name = sys.argv.pop(1)
    target = next(target for target in family.TARGETS if target.name == name)
    # Servers listen and models are loaded before anything is timed.
    for seed in target.seeds():
        target.run(seed)
    atheris.Setup(sys.argv, target.run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
