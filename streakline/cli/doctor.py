"""`streakline doctor`: whether everything that Streakline stands on is as it should be, and what to do where not."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from streakline.cli.errors import ExitCode
from streakline.cli.options import AsJson, Bootstrap, Lake

if TYPE_CHECKING:
    from streakline.doctor.findings import Finding

_COLUMNS = ("", "what", "was found", "what to do")


def doctor(
    *,
    bootstrap: Bootstrap = None,
    lake: Lake = None,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", min=1, help="for all of it together")] = 60.0,
    json: AsJson = False,
) -> int:
    """Look at the broker, Redis, disks, GPU, packages and stored versions, and say what to do where one is not right.

    Nothing is changed. The exit code is 1 where something is wrong, or did not answer; a warning is no such.
    """
    import msgspec

    from streakline.cli.output import note, standard_output
    from streakline.cli.table import print_table
    from streakline.doctor.checks import all_checks
    from streakline.doctor.examining import examine

    findings = list(examine(all_checks(bootstrap=bootstrap, lake=lake), timeout))
    if json:
        with standard_output() as output:
            for each in findings:
                output.json_line(msgspec.json.encode(each))
    else:
        print_table(_COLUMNS, [(each.verdict, each.subject, each.finding, each.remedy or "") for each in findings])
        note(summary(findings))
    return ExitCode.BAD_INPUT if any(each.verdict == "wrong" for each in findings) else ExitCode.DONE


def summary(findings: "Sequence[Finding]") -> str:
    """One line.

    >>> summary([])
    '0 wrong, 0 warnings, 0 ok'
    """
    count = Counter(each.verdict for each in findings)
    warnings = "1 warning" if count["warning"] == 1 else f"{count['warning']} warnings"
    return f"{count['wrong']} wrong, {warnings}, {count['ok']} ok"
