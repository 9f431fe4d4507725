"""What a record of the signals topic says of a regression, and how those of one diff come together."""

import itertools
import random
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from producers.codec import MalformedEvent, encode
from producers.events import Signal
from tests.regressed import TS, diverging, regressed
from workers.lake.schemas import table_to_rows
from workers.lake.tables import RegressionRow
from workers.lake.writer import Lake
from workers.regression_rows import Regression, by_diff, merged, regression_in


def told(signal: Signal) -> Regression:
    found = regression_in(encode(signal))
    assert found is not None
    return found


def test_a_signal_becomes_a_row_of_its_run() -> None:
    found = told(regressed("team/a", "math", diff_id="1" * 16))
    common = found.common
    assert (common.project, common.dt, common.run_id, common.diff_id) == ("p", "2026-01-31", "team/a", "1" * 16)
    assert (common.base_sha, common.ft_sha, common.config_hash, common.created_at) == ("ab" * 8, "cd" * 8, "", TS)
    row = found.row
    assert (row.signal_id, row.category) == ("team/a/0/0/category_regressed/math", "math")
    assert (row.score, row.prior_score, row.drop_basis_points, row.significant) == (0.7, 0.8, 1000, False)


def test_other_signals_are_passed_over_undecoded() -> None:
    assert regression_in(encode(diverging("a", 1))) is None
    assert regression_in(encode(replace(diverging("a", 1), message='say "category_regressed"'))) is None
    assert regression_in(encode(replace(regressed("a", "b"), type="loss_plateau"))) is None
    for raw in (b"", b"{", b"\xff", b'{"type":"another"}', b"\0" * 100):
        assert regression_in(raw) is None


def test_a_type_that_is_spelled_with_escapes_is_seen() -> None:
    raw = encode(regressed("a", "math")).replace(b'"type":"category', b'"type":"\\u0063ategory')
    assert regression_in(raw.replace(b"/category_regressed", b"/x")) is not None


MALFORMED: dict[str, Callable[[dict[str, object]], object]] = {
    "no figures": lambda signal: signal.pop("regression"),
    "no day": lambda signal: signal.update(ts=1e300),
    "before all days": lambda signal: signal.update(ts=-1e12),
    "run": lambda signal: signal.update(run_id="../x y"),
    "drop": lambda signal: signal["regression"].update(drop_basis_points=2**63),  # type: ignore[attr-defined]
    "attempt": lambda signal: signal.update(attempt=2**63),
    "diff": lambda signal: signal["regression"].update(diff_id="../../x"),  # type: ignore[attr-defined]
}


@pytest.mark.parametrize("how", MALFORMED)
def test_what_cannot_be_a_row_is_refused(how: str) -> None:
    signal = msgspec.to_builtins(regressed("a", "math"))
    MALFORMED[how](signal)
    with pytest.raises(MalformedEvent):
        regression_in(msgspec.json.encode(signal))


@pytest.mark.parametrize("raw", [b'"category_regressed"', b'{"type":"category_regressed"', b"category_regressed\xff"])
def test_bytes_that_are_no_signal_are_refused(raw: bytes) -> None:
    with pytest.raises(MalformedEvent):
        regression_in(raw)


def test_whatever_is_not_refused_can_be_written(tmp_path: Path) -> None:
    """Bytes of a good record changed at random, and the extremes."""
    rng = random.Random(0)
    good = encode(regressed("run", "math"))
    pool = [b"0", b"9", b"-", b"e9", b"\\u0000", b"\\ud800", b'"', b"null", b"1e308", b"9" * 18, b".", b"\xff"]
    lake = Lake(str(tmp_path))
    written = 0
    for _ in range(2000):
        at = rng.randrange(len(good))
        raw = good[:at] + rng.choice(pool) + good[at + rng.randrange(4) :]
        try:
            found = regression_in(raw)
        except MalformedEvent:
            continue
        if found is not None:
            written += 1
            lake.write("regressions", [found.row], found.common)
            common = found.common
            where = {"project": common.project, "day": common.dt, "run_id": common.run_id, "diff_id": common.diff_id}
            stored = lake.read("regressions", **where)
            assert stored is not None
            assert table_to_rows(stored, RegressionRow) == [found.row]
    assert written > 50


def test_the_rows_of_a_diff_are_grouped() -> None:
    signals = [
        regressed("a", "math"),
        regressed("a", "code", diff_id="1" * 16),
        regressed("b", "math"),
        regressed("a", "math", project="q"),
        regressed("a", "code"),
    ]
    groups = by_diff(map(told, signals))
    assert [[row.category for row in rows] for _, rows in groups] == [["math", "code"], ["code"], ["math"], ["math"]]


def test_in_whatever_order_and_however_often_they_come_the_rows_are_the_same() -> None:
    rows = [told(regressed("a", category)).row for category in ("code", "math", "refusal")]
    for order in itertools.permutations(rows):
        for cut in range(4):
            assert merged(merged([], order[:cut]), [*order[cut:], *order]) == rows


def test_what_was_told_first_stays() -> None:
    first, second = told(regressed("a", "math", score=0.7)).row, told(regressed("a", "math", score=0.6)).row
    assert merged([first], [second]) == merged([], [first, second]) == [first]
