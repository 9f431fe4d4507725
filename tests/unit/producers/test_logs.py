"""What a worker logs, as a process writes it."""

import subprocess
import sys

PROGRAM = """
import logging
from producers.logs import log_to_stderr

log_to_stderr(logging.INFO)
log = logging.getLogger("streakline.diff")
name = "/models/x\\n2026-01-01 00:00:00,000 INFO streakline.diff: all is well\\r\\x1b[2J\\u202e"
log.error("%s cannot be read", name)
try:
    raise ValueError(name)
except ValueError:
    log.exception("failed")
"""


def test_what_others_named_does_not_look_like_a_record_of_ours() -> None:
    said = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stderr
    records = [line for line in said.splitlines() if not line.startswith("    ")]
    assert len(records) == 2, said
    assert records[0].endswith("ERROR streakline.diff: /models/x")
    assert records[1].endswith("ERROR streakline.diff: failed")
    assert "all is well" in said
    assert r"\x1b[2J\u202e" in said
    assert said.isascii()
    assert "\x1b" not in said


def test_a_name_that_is_harmless_stays_as_it_is() -> None:
    program = PROGRAM.replace("/models/x\\n", "/models/é ").partition("\\r")[0] + '"\nlog.error("%s", name)\n'
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stderr
    assert said.endswith("/models/é 2026-01-01 00:00:00,000 INFO streakline.diff: all is well\n")
