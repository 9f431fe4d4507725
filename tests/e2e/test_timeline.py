"""The timeline as the dashboard uses it: points and signals that arrive, zoom, scales, and an end."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from streakline.web.assets import SCRIPTS, STYLES, asset
from streakline.web.environment import json_script
from streakline.web.filters import attempt, moment, number, shown
from tests.browser import Watched, running_browser, watched
from tests.sample_report import rich_report, timeline


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


@pytest.fixture
def it(browser: Browser, tmp_path: Path) -> Iterator[Watched]:
    """A page with the scripts and nothing on it. It has to stay clean."""
    style = "".join(f"<style>{asset(name)}</style>" for name in STYLES)
    scripts = "".join(f"<script>{asset(name)}</script>" for name in SCRIPTS)
    file = tmp_path / "page.html"
    file.write_text(
        f'<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>x</title>{style}<main id="it"></main>{scripts}'
    )
    with watched(browser) as it:
        it.page.goto(file.as_uri())
        yield it
        it.assert_clean()


def made(page: Page, *, timelines: object = (), signals: object = ()) -> None:
    """`it` is the handle; `plots` are uPlot's, caught as they are made."""
    page.evaluate(
        """(content) => {
            const { uPlot } = window;
            window.plots = [];
            window.uPlot = class extends uPlot {
                constructor(...all) { super(...all); window.plots.push(this); }
            };
            window.it = Streakline.timeline(document.getElementById("it"), JSON.parse(content));
        }""",
        str(json_script({"timelines": timelines, "signals": signals})),
    )
    settle(page)


def settle(page: Page) -> None:
    """Until what has arrived is drawn."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def data(page: Page) -> list[list[float | None]]:
    """Columns of the loss that is shown."""
    found: list[list[float | None]] = page.evaluate("plots.at(-2).data")
    return found


def x_ranges(page: Page) -> list[list[float]]:
    found: list[list[float]] = page.evaluate("plots.slice(-2).map(({ scales: { x } }) => [x.min, x.max])")
    return found


def test_a_run_that_begins_grows_from_nothing(it: Watched) -> None:
    made(it.page)
    it.page.evaluate("it.append([[1, 2.5, 1]])")
    it.page.evaluate("it.append([[2, 2.4, 1.1], [3, 2.3, 1.2]])")
    settle(it.page)
    assert data(it.page) == [[1, 2, 3], [2.5, 2.4, 2.3]]
    assert x_ranges(it.page) == [[1, 3], [1, 3]]


def test_what_arrives_twice_or_is_not_a_number_does_no_harm(it: Watched) -> None:
    made(it.page, timelines=[timeline(1, 0, 4, every=1, seed=0, spikes=(0,))])
    it.page.evaluate("it.append([[2, 9, 9], [3, 9, 9], [4, NaN, 1], [5, null, Infinity], [6, 1, 1]])")
    settle(it.page)
    steps, loss = data(it.page)
    assert steps == [0, 1, 2, 3, 4, 5, 6]
    assert loss[4:] == [None, None, 1]
    assert 9 not in loss


def test_a_new_attempt_is_a_line_of_its_own(it: Watched) -> None:
    made(it.page)
    it.page.evaluate("it.append([[1, 2.5, 1], [2, 2.4, 1]], [], 1)")
    it.page.evaluate("it.append([[2, 2.6, 1], [3, 2.3, 1]], [], 1700000000)")
    settle(it.page)
    steps, first, second = data(it.page)
    assert (steps, first[:2], second[1:]) == ([1, 2, 3], [2.5, 2.4], [2.6, 2.3])
    assert [first[2], second[0]] == [None, None]
    assert it.page.locator(".timeline-key").all_text_contents() == ["attempt 1", "attempt of 2023-11-14 22:13:20Z"]
    assert it.page.evaluate("plots.at(-1).series.map((each) => (each.dash ?? []).length > 0)") == [False, True, False]


def test_of_very_many_points_some_are_kept_and_every_spike(it: Watched) -> None:
    made(it.page)
    it.page.evaluate(
        """for (let from = 0; from < 300_000; from += 1_000) {
            const rows = Array.from({ length: 1_000 }, (_, i) => [from + i, 1 + Math.sin(from + i), 1]);
            if (from % 50_000 === 0) rows[500][1] = 1_000 + from;
            if (from % 50_000 === 0) rows[700][2] = null;
            it.append(rows);
        }"""
    )
    settle(it.page)
    steps, loss = data(it.page)
    assert 10_000 <= len(steps) <= 20_000
    assert [value for value in loss if value is not None and value > 2] == [1_000 + 50_000 * i for i in range(6)]
    assert (steps[0], steps[-1]) == (0, 299_999)
    norm: list[float | None] = it.page.evaluate("plots.at(-1).data[1]")
    assert norm.count(None) == 6


def test_thinning_keeps_the_lowest_and_highest_of_every_stretch(it: Watched) -> None:
    kept = it.page.evaluate(
        """(() => {
            const steps = Array.from({ length: 5_000 }, (_, i) => 3 * i);
            const values = steps.map((step) => Math.sin(step / 97) + (step % 1_011 === 0 ? 5 : 0));
            return Streakline.thinned(steps, [values], 500).map((index) => [steps[index], values[index]]);
        })()"""
    )
    assert len(kept) <= 500
    assert [step for step, _ in kept] == sorted({step for step, _ in kept})
    assert {step for step, value in kept if value > 2} == {step for step in range(0, 15_000, 1_011) if step % 3 == 0}


def test_a_part_is_dragged_out_on_both_plots_and_points_do_not_move_it(it: Watched) -> None:
    made(it.page, timelines=rich_report().timelines, signals=rich_report().signals)
    over = it.page.locator(".plot .u-over").nth(1)
    box = over.bounding_box()
    assert box is not None
    y = box["y"] + 40
    reset = it.page.get_by_role("button", name="Whole run")
    assert reset.is_disabled()
    it.page.mouse.move(box["x"] + 0.25 * box["width"], y)
    it.page.mouse.down()
    it.page.mouse.move(box["x"] + 0.5 * box["width"], y, steps=5)
    it.page.mouse.up()
    settle(it.page)
    (low, high), norm = x_ranges(it.page)
    assert [low, high] == norm
    assert math.isclose(low, 0.25 * 3_199, abs_tol=5)
    assert math.isclose(high, 0.5 * 3_199, abs_tol=5)
    it.page.evaluate("it.append([[3200, 0.6, 1]])")
    settle(it.page)
    assert x_ranges(it.page) == [[low, high], [low, high]]
    reset.click()
    settle(it.page)
    assert x_ranges(it.page) == [[0, 3_200]] * 2
    assert reset.is_disabled()


def test_a_double_click_shows_the_whole_run(it: Watched) -> None:
    made(it.page, timelines=rich_report().timelines)
    it.page.locator(".timeline").focus()
    it.page.keyboard.press("+")
    settle(it.page)
    assert x_ranges(it.page)[0] != [0, 3_199]
    it.page.locator(".plot .u-over").first.dblclick(position={"x": 300, "y": 100})
    settle(it.page)
    assert x_ranges(it.page) == [[0, 3_199]] * 2


def test_the_keyboard_reads_values_and_zooms(it: Watched) -> None:
    made(it.page, timelines=[timeline(1, 0, 100, every=1, seed=0, spikes=(40,))])
    it.page.locator(".timeline").focus()
    for _ in range(3):
        it.page.keyboard.press("ArrowRight")
    reading = it.page.locator(".timeline-reading")
    steps, loss = data(it.page)
    assert (reading.text_content() or "").startswith(f"step {steps[2]} · loss {number(loss[2])} · norm ")
    assert reading.get_attribute("aria-live") == "polite"
    it.page.keyboard.press("+")
    settle(it.page)
    assert x_ranges(it.page) == [[0, 99 - 0.3 * 97]] * 2 or x_ranges(it.page)[0][1] < 99
    it.page.keyboard.press("0")
    settle(it.page)
    assert x_ranges(it.page) == [[0, 99]] * 2


@pytest.mark.parametrize("name", ["loss", "norm"])
def test_a_logarithmic_scale_is_a_press_away(it: Watched, name: str) -> None:
    made(it.page, timelines=rich_report().timelines)
    button = it.page.get_by_role("button", name=f"Log {name}")
    assert button.get_attribute("aria-pressed") == "false"
    button.click()
    settle(it.page)
    assert button.get_attribute("aria-pressed") == "true"
    distributions = it.page.evaluate("plots.slice(-2).map((each) => each.scales.y.distr)")
    assert distributions == ([3, 1] if name == "loss" else [1, 3])


def test_a_spike_that_would_flatten_the_rest_is_shown_on_a_logarithmic_scale(it: Watched) -> None:
    rows = {"steps": [1, 2, 3, 4], "loss": [1, 1.1, 400, 1], "max_grad": [1, 1, 0, 30]}
    made(it.page, timelines=[{**rows, "attempt": 1, "total_steps": 4, "non_finite": 0}])
    # A norm of 0 has no place there.
    assert it.page.evaluate("plots.slice(-2).map((each) => each.scales.y.distr)") == [3, 1]


def test_signals_arrive_while_one_is_read(it: Watched) -> None:
    signals = rich_report().signals
    made(it.page, timelines=rich_report().timelines, signals=signals[:1])
    it.page.locator(".marker").focus()
    it.page.evaluate("(it) => window.it.append([[3300, 0.6, 1]], JSON.parse(it))", str(json_script(signals[3:])))
    settle(it.page)
    assert it.page.locator(".marker").count() == 5
    assert it.page.evaluate("document.activeElement.getAttribute('aria-label')") == (
        "warning: gradient spike at step 880"
    )
    assert it.page.locator(".timeline-key").all_text_contents()[2:] == ["▼ 1 critical", "◆ 4 warning", "○ 1 info"]


def test_it_ends_without_a_trace(it: Watched) -> None:
    made(it.page, timelines=rich_report().timelines)
    it.page.evaluate("it.append([[4000, 1, 1]]); it.destroy()")
    settle(it.page)
    assert it.page.locator("#it").inner_html() == ""
    it.page.emulate_media(color_scheme="dark")
    settle(it.page)
    assert it.page.locator("#it").inner_html() == ""


NUMBERS: list[Any] = [
    None, 0, 3, -7, 1234567, 0.5, -0.25, 1 / 3, 12345.678, 999.96, 2e-7, 1e-4, 0.000123456, 1.5e9, 123456789012, 1e300,
]  # fmt: skip


def test_numbers_are_written_as_python_writes_them(it: Watched) -> None:
    assert it.page.evaluate("(values) => values.map(Streakline.number)", NUMBERS) == list(map(number, NUMBERS))


def test_other_values_are_too(it: Watched) -> None:
    texts = ["plain é 漢 😀", "a\u202eb", "\x1b[2J\x9b", "line\n\ttab\r", "\xa0\u2028\U000e0001\ue000"]
    assert it.page.evaluate("(texts) => texts.map(Streakline.printable)", texts) == list(map(shown, texts))
    seconds = [0.0, 1_700_000_000.5, 1e300]
    assert it.page.evaluate("(values) => values.map(Streakline.moment)", seconds) == list(map(moment, seconds))
    attempts = [1, 999_999_999, 1_700_000_000]
    assert it.page.evaluate("(values) => values.map(Streakline.attempt)", attempts) == list(map(attempt, attempts))
