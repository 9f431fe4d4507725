"""Fine-tunes SmolLM2-135M twice, has the engine compare each with the base, and says which verdict is wrong.

Takes about a quarter of an hour on two cores, half of it when the checkpoints are kept from before.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from tests.acceptance.place import Place

ROOT = Path(".streakline/acceptance")


def main() -> None:
    """Exits with 1 where a verdict is wrong."""
    # Threads that spin for their share of busy cores take what the others would need.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    place = Place(ROOT.resolve())
    subprocess.run([sys.executable, "-m", "tests.acceptance.preparing", str(place.root)], check=True)
    # After the environment, which torch reads as it is imported.
    from tests.acceptance import checks
    from tests.acceptance.outcome import diff
    from tests.acceptance.tables import show

    console = Console(width=None if sys.stdout.isatty() else 160)
    with tempfile.TemporaryDirectory() as folder:
        outcomes = {}
        for name, checkpoint in (("facts", place.facts), ("refusals", place.refusals), ("base", place.base)):
            console.print(f"==> base against {name}, load {os.getloadavg()[0]:.1f}")
            outcomes[name] = diff(place, checkpoint, Path(folder))
    show(console, outcomes)
    wrong = [
        *checks.of_facts(outcomes["facts"]),
        *checks.of_refusals(outcomes["refusals"]),
        *checks.of_itself(outcomes["base"]),
    ]
    for sentence in wrong:
        console.print(f"wrong: {sentence}", style="red", markup=False)
    if wrong:
        sys.exit(1)
    console.print("every verdict is right", style="green")


if __name__ == "__main__":
    main()
