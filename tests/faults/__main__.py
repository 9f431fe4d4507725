"""The whole kill matrix, or a part of it, on a broker of each case's own: ``python -m tests.faults --help``."""

import argparse
import datetime
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import get_args

from tests.benchmarks.__main__ import machine
from tests.faults.cases import Case, How, When
from tests.faults.kept import keep, kept
from tests.faults.matrix import ROLES, all_cases
from tests.faults.playing import play
from tests.faults.table import table, write


def main() -> None:
    """Play the cases; the exit status is 1 where one is not right."""
    arguments = _parser().parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # as in all tests: see tests/conftest.py
    chosen = [case for number in range(arguments.rounds) for case in _chosen(arguments, arguments.seed + number)]
    played = [each for each in kept(arguments.resume) if each.case in chosen]
    wrong = [each.case for each in played if not each.figures.is_right]
    known = {each.case for each in played}
    # A process for each case: what one leaves in its interpreter is no other's, and they wait for much of their time.
    # Each is forked from one that has imported everything: torch and transformers take as long as many a case.
    context = get_context("forkserver")
    context.set_forkserver_preload([play.__module__])
    with ProcessPoolExecutor(arguments.jobs, context, max_tasks_per_child=1) as pool:
        playing = {pool.submit(play, case): case for case in chosen if case not in known}
        for number, future in enumerate(as_completed(playing), 1 + len(known)):
            case, (result, seconds) = playing[future], future.result()
            line = result.line if result else "it could not be played"
            print(f"{number}/{len(chosen)} {case.name}: {line} ({seconds:.0f} s)", flush=True)
            if result is not None:
                played.append(result)
                keep(arguments.resume, result)
            if result is None or not result.figures.is_right:
                wrong.append(case)
                print(f"  again: {command_for(case)}", flush=True)
    lines = [
        *table(sorted(played, key=lambda each: chosen.index(each.case))),
        "",
        _origin(sys.argv[1:], len(chosen), len(wrong)),
    ]
    print("", *lines, sep="\n")
    if arguments.write is not None:
        write(arguments.write, lines)
    sys.exit(1 if wrong else 0)


def command_for(case: Case) -> str:
    """What plays this case again, and nothing else."""
    return (
        f'.venv/bin/python -m tests.faults --seed {case.seed} --who "{case.who}" '
        f'--how "{case.how}" --when "{case.when}"'
    )


def _chosen(arguments: argparse.Namespace, seed: int) -> list[Case]:
    return [
        case
        for case in all_cases(seed)
        if arguments.who in {None, case.who}
        and arguments.how in {None, case.how}
        and arguments.when in {None, case.when}
    ]


def _origin(arguments: Sequence[str], cases: int, wrong: int) -> str:
    command = " ".join(["python -m tests.faults", *(f'"{each}"' if " " in each else each for each in arguments)])
    day = datetime.datetime.now(datetime.UTC).date().isoformat()
    return f"{cases} cases, {wrong} of them not right; {day}, {machine()}; `{command}`."


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=main.__doc__)
    parser.add_argument("--rounds", type=int, default=1, help="every case so many times, each with the next seed")
    parser.add_argument("--seed", type=int, default=1, help="of the first round")
    parser.add_argument("--jobs", type=int, default=1, help="so many cases at a time")
    parser.add_argument("--who", choices=list(ROLES), help="only these")
    parser.add_argument("--how", choices=get_args(How), help="only this fault")
    parser.add_argument("--when", choices=get_args(When), help="only this situation")
    parser.add_argument(
        "--resume", type=Path, metavar="FILE", help="keep what comes there, and do not play again what it has"
    )
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table between the markers of this page")
    return parser


if __name__ == "__main__":
    main()
