"""The loss windows at their edges, and what is said of them."""

from stream_app.engine.replay import signals_of, steps


def test_a_rise_is_measured_over_eleven_losses_whatever_came_before() -> None:
    # The loss fell just before: that comparison is the eleventh back and does not count.
    (signal,) = signals_of(steps(loss=[9.0, *[0.0625 * index for index in range(11)]]))
    assert (signal.step, signal.type, signal.value) == (11, "loss_diverging", 0.625)
    assert signal.message == (
        "loss rose by 0.625 to 0.625 over the last 10 steps without once falling (step 11); "
        "lower the learning rate or roll back"
    )


def test_a_slow_rise_is_none_however_long_it_lasts() -> None:
    # Ten steps of 3/64 are 0.469, eleven would be 0.516.
    assert list(signals_of(steps(loss=[3 / 64 * index for index in range(40)]))) == []
    assert [s.step for s in signals_of(steps(loss=[4 / 64 * index for index in range(40)]))] == [10]


def test_only_the_last_twenty_losses_are_a_plateau() -> None:
    assert [s.step for s in signals_of(steps(loss=[9.0, *[1.0] * 20]))] == [20]
    assert [s.step for s in signals_of(steps(loss=[*[1.0] * 19, 0.75, *[1.0] * 20]))] == [39]


def test_a_plateau_says_where_the_loss_stays() -> None:
    (signal,) = signals_of(steps(loss=[1.25] * 20))
    assert (signal.metric, signal.value, signal.threshold, signal.layers) == ("loss", 0.0, 1.25 * 1.25 * 0.001, None)
    assert signal.message == (
        "loss has stayed at 1.25 for the last 20 steps (step 19); "
        "stop here, or change the learning rate, if it should still be improving"
    )


def test_divergence_goes_before_a_plateau_and_the_plateau_follows() -> None:
    # A rise of 0.6 on 1000 is both.
    losses = [1000.0] * 10 + [1000.0 + 0.0625 * index for index in range(1, 12)]
    assert [(s.step, s.type) for s in signals_of(steps(loss=losses))] == [(18, "loss_diverging"), (19, "loss_plateau")]


def test_a_rise_past_the_largest_number_is_a_signal_like_any_other() -> None:
    (signal,) = signals_of(steps(loss=[-1.5e308, *[1.5e308] * 10]))
    assert (signal.type, signal.value) == ("loss_diverging", float("inf"))
