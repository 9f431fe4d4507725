"""Checks run beside each other; none hides another, and none is waited for for ever."""

import threading
from collections.abc import Iterator

from producers.settings import SettingsError
from streakline.doctor.examining import Check, examine
from streakline.doctor.findings import Finding, ok, wrong


def test_what_a_check_raises_hides_neither_what_it_had_found_nor_the_others() -> None:
    def fails() -> Iterator[Finding]:
        yield ok("a", "is there")
        raise SettingsError("STREAKLINE_PARTITIONS: Expected `int` >= 1")

    found = list(examine([Check("a", fails), Check("b", lambda: [ok("b", "is there")])], 60))
    assert found == [
        ok("a", "is there"),
        wrong("a", "STREAKLINE_PARTITIONS", "Expected `int` >= 1"),
        ok("b", "is there"),
    ]


def test_a_defect_is_a_finding() -> None:
    def fails() -> Iterator[Finding]:
        raise KeyError

    assert list(examine([Check("a", fails)], 60)) == [Finding("wrong", "a", "KeyError")]


def test_what_hangs_is_waited_for_no_longer_than_the_limit() -> None:
    never = threading.Event()

    def hangs() -> Iterator[Finding]:
        yield ok("a", "is there")
        never.wait()

    found = list(examine([Check("a", hangs), Check("b", lambda: [ok("b", "is there")])], 0.5))
    never.set()
    assert found == [
        ok("a", "is there"),
        wrong("a", "it gave no answer within 0.5 s", "see what holds it up, or have more patience with --timeout"),
        ok("b", "is there"),
    ]


def test_checks_do_not_wait_for_each_other() -> None:
    met = threading.Barrier(2, timeout=10)

    def meets() -> Iterator[Finding]:
        met.wait()
        yield ok("a", "met")

    assert list(examine([Check("a", meets), Check("b", meets)], 60)) == [ok("a", "met")] * 2
