import math

from hypothesis import given
from hypothesis import strategies as st

from streakline.report.drawing import Scale, around, round_step, ticks

NUMBERS = st.floats(-1e6, 1e6).map(lambda it: round(it, 6))


@given(st.lists(NUMBERS, min_size=1, max_size=8), st.sampled_from([0.05, 0.1, 1.0]))
def test_all_values_lie_on_the_scale(values: list[float], least: float) -> None:
    low, high = around(values, least=least)
    invisible = 1e-8 * (high - low)
    assert low <= min(values) + invisible
    assert high >= max(values) - invisible
    assert high - low >= least - 1e-9


@given(NUMBERS, st.floats(0.01, 1e6))
def test_ticks_are_few_and_lie_on_the_scale(low: float, width: float) -> None:
    found = ticks(low, low + width, 5)
    assert len(found) <= 6
    assert all(low - 1e-6 * width <= each <= low + width * (1 + 1e-6) for each in found)


@given(st.floats(1e-9, 1e9))
def test_a_round_step_is_the_next_one(least: float) -> None:
    step = round_step(least)
    assert least * (1 - 1e-6) <= step <= 2.5 * least
    assert math.isclose(float(f"{step:.1e}"), step)


def test_a_scale_draws_nothing_outside_of_itself() -> None:
    down = Scale(0.5, 0.9, 130.0, 28.0)
    assert [down.at(each) for each in (-3.0, 0.5, 0.7, 0.9, 4.0)] == [130.0, 130.0, 79.0, 28.0, 28.0]
