"""Prometheus' text format, for gauges that are made anew at every scrape."""

from collections.abc import Iterable

from producers.metrics import Metric

_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def escaped(text: str) -> str:
    """`text` as the value of a label.

    >>> escaped('say "a"')
    'say \\\\"a\\\\"'
    """
    return text.translate(_ESCAPES)


def family(metric: Metric, samples: Iterable[str]) -> str:
    """One metric family; a sample is what follows its name: labels, value and a newline."""
    head = f"# HELP {metric.name} {metric.help}\n# TYPE {metric.name} {metric.kind}\n"
    return head + "".join([metric.name + sample for sample in samples])
