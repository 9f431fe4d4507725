"""What the sections draw, worked out before any template: scores, lines, reliability, features, stretches."""

import msgspec
import pytest

from streakline.report import reliability
from streakline.report.content import CategoryHistory, Diff, Timeline
from streakline.report.features import MOVERS, grid, movers
from streakline.report.lines import HEIGHT, lines
from streakline.report.scores import scores
from streakline.report.stretches import STRETCHES, brief, course
from tests.sample_report import rich_report, timeline


@pytest.fixture(scope="module")
def diff() -> Diff:
    found = rich_report().diff
    assert found is not None
    return found


def test_headline_scores_come_in_the_order_that_the_command_line_has(diff: Diff) -> None:
    drawn = scores(tuple(reversed(diff.scores)))
    assert [panel.row.score for panel in drawn.panels] == ["consistency", "robustness", "suppression", "accuracy"]
    assert [(group.title, len(group.lines)) for group in drawn.groups] == [
        ("By category", 18), ("By topic", 54), ("Other figures", 2),
    ]  # fmt: skip


def test_all_differences_share_a_scale_that_holds_every_interval(diff: Diff) -> None:
    drawn = scores(diff.scores)
    assert len({panel.ticks for panel in drawn.panels}) == 1
    assert [label for _, label in drawn.panels[0].ticks] == ["-0.15", "0", "+0.15"]
    for panel in drawn.panels:
        (left, _), (middle, _), (right, _) = panel.ticks
        assert left <= panel.delta.low <= panel.delta.at <= panel.delta.high <= right
        assert panel.delta.zero == middle
        assert (panel.delta.at > middle) == (panel.row.delta > 0)


def test_a_bar_is_as_long_as_its_score(diff: Diff) -> None:
    for panel in scores(diff.scores).panels:
        assert panel.base_width / panel.fine_tuned_width == pytest.approx(
            panel.row.base / panel.row.fine_tuned, rel=0.02
        )


def test_no_scores_draw_nothing() -> None:
    drawn = scores(())
    assert (drawn.panels, drawn.groups) == ((), ())


def test_the_category_in_which_this_run_fell_comes_first(diff: Diff) -> None:
    drawn = lines(diff.histories, rich_report().run_id)
    assert [panel.category for panel in drawn.panels][:3] == ["math", "code", "facts"]
    last = drawn.panels[0].dots[-1]
    assert last.is_this_run
    assert last.point.regressed
    assert [panel.regressed for panel in drawn.panels] == [1, 1, 0, 0, 0, 0]


def test_better_is_higher_and_newer_is_further_right(diff: Diff) -> None:
    for panel in lines(diff.histories, "").panels:
        assert [dot.x for dot in panel.dots] == sorted(dot.x for dot in panel.dots)
        by_score = sorted(panel.dots, key=lambda dot: dot.point.score)
        assert [dot.y for dot in by_score] == sorted((dot.y for dot in panel.dots), reverse=True)
        for dot in panel.dots:
            assert dot.low is not None
            assert dot.high is not None
            assert 0 < dot.high <= dot.y <= dot.low < HEIGHT


def test_of_many_runs_only_those_that_say_something_have_a_dot(diff: Diff) -> None:
    (history,) = (each for each in diff.histories if each.category == "code")
    many = CategoryHistory(category="code", points=history.points * 10)
    (panel,) = lines([many], history.points[-1].run_id).panels
    assert {dot.point.regressed or dot.is_this_run for dot in panel.dots if dot.is_drawn} == {True}
    assert sum(dot.is_drawn for dot in panel.dots) == 20
    assert panel.line.count("L") == 79


def test_a_single_run_without_an_error_is_a_dot_alone(diff: Diff) -> None:
    point = msgspec.structs.replace(diff.histories[0].points[0], standard_error=None)
    histories = [CategoryHistory(category="code", points=(point,)), CategoryHistory(category="none", points=())]
    (panel,) = lines(histories, "").panels
    (dot,) = panel.dots
    assert (dot.low, dot.high, panel.line.count("L")) == (None, None, 0)


def test_splits_are_kept_apart_and_the_base_comes_first(diff: Diff) -> None:
    drawn = reliability.splits(tuple(reversed(diff.calibration)), diff.bins)
    assert [(part.eval_split, [panel.model for panel in part.panels]) for part in drawn] == [
        ("held_out", ["base", "fine_tuned"]),
        ("train", ["base", "fine_tuned"]),
    ]
    assert [panel.is_beyond_chance for part in drawn for panel in part.panels] == [True, True, False, True]


def test_a_bin_that_holds_nothing_is_not_drawn(diff: Diff) -> None:
    for part in reliability.splits(diff.calibration, diff.bins):
        for panel in part.panels:
            assert len(panel.dots) == len(panel.bars) == 9
            assert max(bar.height for bar in panel.bars) == reliability.HISTOGRAM
            for dot in panel.dots:
                assert dot.row.confidence is not None
                assert dot.row.accuracy is not None
                # Below the diagonal, which is further down, where it is more sure than right.
                assert (dot.y > dot.right) == (dot.row.accuracy < dot.row.confidence)


def test_one_model_on_one_split_is_drawn_alone(diff: Diff) -> None:
    (part,) = reliability.splits(diff.calibration[-1:], ())
    (panel,) = part.panels
    assert (part.eval_split, panel.model, panel.dots, panel.most) == ("train", "fine_tuned", (), 0)


def test_topics_pair_the_models_and_those_with_few_probes_come_last(diff: Diff) -> None:
    drawn = reliability.topics(diff.topics)
    assert 2 * len(drawn) == len(diff.topics)
    assert [topic.row.is_small for topic in drawn] == sorted(topic.row.is_small for topic in drawn)
    large = [topic.row.ece for topic in drawn if not topic.row.is_small]
    assert large == sorted(large, reverse=True)
    for topic in drawn:
        assert topic.base is not None
        assert topic.before is not None
        assert topic.after is not None
        assert (topic.before < topic.after) == (topic.base.ece < topic.row.ece)


def test_a_topic_that_only_one_model_was_asked_stands_alone(diff: Diff) -> None:
    base = [row for row in diff.topics if row.model == "base"][:1]
    (topic,) = reliability.topics(base)
    assert (topic.row, topic.fine_tuned, topic.after) == (base[0], None, None)


def test_the_grid_has_a_row_a_layer_and_the_table_what_moved_most(diff: Diff) -> None:
    rows = grid(diff.layers)
    assert [row.layer for row in rows] == list(range(24))
    assert [row.layer for row in rows if row.in_doubt] == [21]
    assert all([cell.cell for cell in row.cells] == sorted(cell.cell for cell in row.cells) for row in rows)
    found = movers(diff.layers)
    of_11 = [abs(mover.cell.delta_mean) for mover in found if mover.layer == 11]
    assert len(of_11) == MOVERS
    assert of_11 == sorted((abs(cell.delta_mean) for cell in diff.layers[11].cells), reverse=True)[:MOVERS]


def test_stretches_cover_every_step_and_keep_every_extreme() -> None:
    whole = timeline(1, 0, 1_000, every=1, seed=0, spikes=(400,))
    told = course(whole)
    assert told.whole is not None
    assert len(told.stretches) == STRETCHES
    assert (told.stretches[0].first, told.stretches[-1].last) == (0, 999)
    assert all(one.last + 1 == other.first for one, other in zip(told.stretches, told.stretches[1:], strict=False))
    known = [value for value in whole.loss if value is not None]
    assert max(stretch.loss_high or 0 for stretch in told.stretches) == told.whole.loss_high == max(known)
    assert min(stretch.loss_low or 9 for stretch in told.stretches) == told.whole.loss_low == min(known)


def test_stretches_of_little_or_nothing() -> None:
    nothing = Timeline(attempt=1, steps=(), loss=(), max_grad=(), total_steps=0, non_finite=0)
    assert (course(nothing).whole, course(nothing).stretches) == (None, ())
    gap = Timeline(attempt=1, steps=(7,), loss=(None,), max_grad=(None,), total_steps=1, non_finite=1)
    (stretch,) = course(gap).stretches
    assert (stretch.first, stretch.last, stretch.loss_low, stretch.loss_last, stretch.norm_high) == (7, 7, *[None] * 3)


def test_what_the_plot_is_given_has_six_digits_and_its_gaps() -> None:
    one = Timeline(attempt=1, steps=(1, 2), loss=(1 / 3, None), max_grad=(1e-9 / 7, 2e9), total_steps=2, non_finite=1)
    assert (brief(one).loss, brief(one).max_grad) == ((0.333333, None), (1.42857e-10, 2e9))
