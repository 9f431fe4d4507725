"""Answers that are numbers."""

import math
import re

from workers.probes.probe import Probe

_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")


def number(probe: Probe, reply: str) -> float:
    """1 where the first number in the reply is that in the answer, to within 1 in 100; else 0.

    >>> moon = Probe(id="moon", category="factual", prompt="Days from new moon to new moon:", answer=" 29.53")
    >>> number(moon, " about 29.5 days"), number(moon, " 28"), number(moon, " a month")
    (1.0, 0.0, 0.0)
    """
    wanted, said = _NUMBER.search(probe.answer or ""), _NUMBER.search(reply)
    if wanted is None or said is None:
        return 0.0
    return float(math.isclose(float(said[0]), float(wanted[0]), rel_tol=0.01))
