"""The report in a real Chromium, opened as a file: what people see, press, save and print."""

import base64
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Dialog, Locator, Page

from streakline.report.content import Report
from streakline.report.page import policy, render
from tests.browser import Watched, running_browser, watched
from tests.sample_report import HOSTILE, empty_report, hostile_report, largest_report, rich_report

PHONE: Any = {"width": 390, "height": 844}
SECTIONS = ("findings", "signals", "scores", "features", "regressions", "calibration", "low-confidence")
FIGURES = ("timeline", "scores", "features", "regressions", "calibration")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


def opened(it: Watched, report: Report, folder: Path) -> Page:
    """The page, drawn."""
    file = folder / "report.html"
    file.write_text(render(report), "utf-8")
    it.page.goto(file.as_uri())
    it.page.wait_for_function("performance.getEntriesByName('streakline-drawn').length === 1")
    return it.page


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("report", [rich_report(), empty_report()], ids=["rich", "empty"])
def test_it_opens_without_a_complaint_and_anyone_can_use_it(
    browser: Browser, tmp_path: Path, report: Report, dark: bool
) -> None:
    with watched(browser, dark=dark) as it:
        page = opened(it, report, tmp_path)
        # What is folded is looked at, too.
        page.evaluate("document.querySelectorAll('details').forEach((each) => (each.open = true))")
        assert it.serious_violations() == []
        it.assert_clean()


@pytest.mark.parametrize("report", [rich_report(), hostile_report(), largest_report()], ids=["rich", "hostile", "long"])
def test_on_a_phone_the_page_does_not_scroll_sideways(browser: Browser, tmp_path: Path, report: Report) -> None:
    with watched(browser, viewport=PHONE) as it:
        page = opened(it, report, tmp_path)
        page.evaluate("document.querySelectorAll('details').forEach((each) => (each.open = true))")
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
        it.assert_clean()


def test_its_text_does_nothing(browser: Browser, tmp_path: Path) -> None:
    """The hostile page has the elements of one that says the same with harmless letters, and no others."""
    census = "[...document.querySelectorAll('*')].map((it) => it.tagName).sort().join(' ')"
    found = []
    for text in (HOSTILE, "a" * len(HOSTILE)):
        with watched(browser) as it:
            dialogs: list[str] = []
            it.page.on("dialog", partial(_dismiss, dialogs))
            page = opened(it, hostile_report(text), tmp_path)
            page.locator(".marker").first.focus()
            assert page.get_by_role("tooltip").text_content() == _told(text)
            page.locator("table.grid canvas").nth(11).hover()
            page.keyboard.press("Escape")
            assert page.locator("h1").text_content() == text
            assert page.locator(".command pre").first.text_content() == text
            # Every free text is there: more than once in each of these parts.
            for section in SECTIONS:
                told = page.locator(f"#{section}").text_content() or ""
                assert told.count(text) > 1, section
            found.append(page.evaluate(census))
            assert dialogs == []
            it.assert_clean()
    assert found[0] == found[1]


def _tooltip(page: Page) -> str:
    return page.get_by_role("tooltip").text_content() or ""


def _dismiss(seen: list[str], dialog: Dialog) -> None:
    seen.append(dialog.message)
    dialog.dismiss()


def _told(text: str) -> str:
    """What the first marker says: two signals in it, one that is not a number."""
    spoken = text.replace("_", " ")
    said = [
        f"◆ step 880, {spoken} (warning): 8.41, bound 3", f"▼ step 881, {spoken} (critical): not a number",
        f"◆ step 884, {spoken} (warning): 1.79, bound 1.5",
    ]  # fmt: skip
    return "".join(f"{each}, attempt 1{text}" for each in said)


def test_the_policy_lets_no_other_script_run(browser: Browser, tmp_path: Path) -> None:
    with watched(browser) as it:
        page = opened(it, rich_report(), tmp_path)
        page.evaluate(
            """const it = document.createElement("script");
            it.textContent = "window.ran = true";
            document.body.append(it);"""
        )
        assert page.evaluate("window.ran") is None
        assert [each for each in it.complaints if "Content Security Policy" in each]


def test_a_server_may_send_the_policy_as_a_header(browser: Browser) -> None:
    with watched(browser) as it:
        headers = {"content-security-policy": policy(), "content-type": "text/html; charset=utf-8"}
        it.page.route(
            "http://127.0.0.1:9/report",
            lambda route: route.fulfill(body=render(rich_report()), headers=headers),
        )
        it.page.goto("http://127.0.0.1:9/report")
        it.page.wait_for_function("performance.getEntriesByName('streakline-drawn').length === 1")
        assert it.page.locator(".plot canvas").count() == 2
        it.assert_clean()


def test_without_scripts_the_page_says_everything(browser: Browser, tmp_path: Path) -> None:
    report = rich_report()
    assert report.diff is not None
    (tmp_path / "report.html").write_text(render(report), "utf-8")
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((tmp_path / "report.html").as_uri())
    assert page.get_by_role("button").count() == 0
    text = page.locator("body").inner_text()
    assert all(signal.message in text for signal in report.signals)
    assert all(finding.text in text for finding in report.findings)
    page.locator("summary", has_text="The same as a table").first.click()
    assert page.get_by_role("cell", name="attempt 2").count() > 10
    assert page.locator("table.grid tbody tr").count() == len(report.diff.layers)
    assert page.get_by_role("img").count() == 4 + 6 + 4
    context.close()


def test_every_figure_is_saved_as_a_png(browser: Browser, tmp_path: Path) -> None:
    with watched(browser, dark=True) as it:
        page = opened(it, rich_report(), tmp_path)
        figures = page.locator("figure").all()
        assert len(figures) == len(FIGURES)
        for figure, name in zip(figures, FIGURES, strict=True):
            with page.expect_download() as download:
                figure.get_by_role("button", name="Save PNG").click()
            assert download.value.suggested_filename == f"support-assistant-lora-r16-lr2e-4-{name}.png"
            file = tmp_path / f"{name}.png"
            download.value.save_as(file)
            _assert_shows_the_figure(page, file, figure)
        it.assert_clean()


def _assert_shows_the_figure(page: Page, file: Path, figure: Locator) -> None:
    """Twice as large as the figure's body and more, on its background, with the accent in it."""
    png = file.read_bytes()
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    found = page.evaluate(
        """async (encoded) => {
            const image = new Image();
            image.src = `data:image/png;base64,${encoded}`;
            await image.decode();
            const canvas = document.createElement("canvas");
            [canvas.width, canvas.height] = [image.width, image.height];
            const context = canvas.getContext("2d");
            context.drawImage(image, 0, 0);
            const { data } = context.getImageData(0, 0, image.width, image.height);
            const colors = {};
            for (let at = 0; at < data.length; at += 4) {
                const color = "#" + [0, 1, 2].map((i) => data[at + i].toString(16).padStart(2, "0")).join("");
                colors[color] = (colors[color] ?? 0) + 1;
            }
            return { width: image.width, height: image.height, colors };
        }""",
        base64.b64encode(png).decode(),
    )
    box = figure.locator(".figure-body").bounding_box()
    assert box is not None
    assert found["width"] >= 2 * box["width"]
    assert found["height"] >= 2 * box["height"]
    palette = page.evaluate("Streakline.palette()")
    assert max(found["colors"], key=found["colors"].__getitem__) == palette["card"]
    assert found["colors"][palette["accent"]] > 100
    assert found["colors"][palette["ink"]] > 100


def test_the_keyboard_reaches_everything_and_sees_where_it_is(browser: Browser, tmp_path: Path) -> None:
    with watched(browser) as it:
        page = opened(it, rich_report(), tmp_path)
        walked = list(_walk(page))
        assert walked[0] == "a.skip To the content"
        for wanted in ("a Findings", "button.screen-only Copy", "button Log loss", "div.timeline", "summary Every bin"):
            assert [each for each in walked if each.startswith(wanted)], wanted
        # One stop each for the markers and the layers: the arrow keys go on from there.
        assert len([each for each in walked if each.startswith("button.marker")]) == 1
        assert len([each for each in walked if each.startswith("canvas")]) == 1
        it.assert_clean()


def _walk(page: Page) -> Iterator[str]:
    """What Tab stops at, once around."""
    for _ in range(200):
        page.keyboard.press("Tab")
        stop = page.evaluate(
            """() => {
                const it = document.activeElement;
                if (it === document.body || it.dataset.walked) return null;
                it.dataset.walked = "yes";
                const { width, height } = it.getBoundingClientRect();
                const name = [it.tagName.toLowerCase(), ...it.classList].slice(0, 2).join(".");
                const seen = getComputedStyle(it).outlineStyle !== "none" && width > 0 && height > 0;
                return [`${name} ${it.textContent.trim().slice(0, 40)}`, seen];
            }"""
        )
        if stop is None:
            return
        name, is_seen = stop
        assert is_seen, name
        yield name
    raise AssertionError("Tab never comes around")


def test_markers_are_read_with_the_arrow_keys(browser: Browser, tmp_path: Path) -> None:
    with watched(browser) as it:
        page = opened(it, rich_report(), tmp_path)
        markers = page.locator(".marker")
        # Some signals are close together, and what is said of the checkpoint is at no step.
        assert markers.count() == 5
        markers.first.focus()
        assert "non finite (critical): not a number" in _tooltip(page)
        page.keyboard.press("ArrowRight")
        assert "step 1,390" in _tooltip(page)
        page.keyboard.press("End")
        assert page.evaluate("document.activeElement.getAttribute('aria-label')") == (
            "info: loss plateau at step 2,900"
        )
        page.keyboard.press("Escape")
        assert page.get_by_role("tooltip").count() == 0
        it.assert_clean()


def test_the_grid_is_read_with_the_arrow_keys_and_the_pointer(browser: Browser, tmp_path: Path) -> None:
    report = rich_report()
    assert report.diff is not None
    with watched(browser) as it:
        page = opened(it, report, tmp_path)
        canvases = page.locator("table.grid canvas")
        canvases.first.focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowRight")
        first = report.diff.layers[1].cells[0]
        told = _tooltip(page)
        assert f"Layer 1, feature {first.feature}: " in told
        assert (first.label or "no label") in told
        page.keyboard.press("End")
        assert f"feature {report.diff.layers[1].cells[-1].feature}: " in _tooltip(page)
        canvases.nth(11).scroll_into_view_if_needed()
        box = canvases.nth(11).bounding_box()
        assert box is not None
        cell = report.diff.layers[11].cells[3]
        at = box["x"] + box["width"] * (cell.cell + 0.5) / report.diff.layers[11].n_cells
        page.mouse.move(at, box["y"] + 11)
        assert f"Layer 11, feature {cell.feature}: " in _tooltip(page)
        it.assert_clean()


@pytest.mark.parametrize("way", ["clipboard", "selection"])
def test_a_command_is_copied_or_at_least_selected(browser: Browser, tmp_path: Path, way: str) -> None:
    with watched(browser) as it:
        page = opened(it, rich_report(), tmp_path)
        if way == "selection":
            page.evaluate("void (navigator.clipboard.writeText = () => Promise.reject(new Error('refused')))")
            page.evaluate("void (document.execCommand = () => false)")
        page.get_by_role("button", name="Copy").first.click()
        command = rich_report().findings[0].command
        if way == "selection":
            page.get_by_role("button", name="Selected: Ctrl-C").wait_for()
            assert page.evaluate("getSelection().toString()") == command
        else:
            page.get_by_role("button", name="Copied").wait_for()
        it.assert_clean()


def test_it_prints_in_light_whatever_the_screen(browser: Browser, tmp_path: Path) -> None:
    with watched(browser, dark=True) as it:
        page = opened(it, rich_report(), tmp_path)
        seen = page.evaluate("Streakline.palette().paper")
        page.evaluate(
            "window.printed = new Promise((done) => addEventListener('afterprint',"
            " () => done(window.onPaper)));"
            "addEventListener('beforeprint', () => (window.onPaper = Streakline.palette().card))"
        )
        pdf = page.pdf()
        assert pdf.startswith(b"%PDF")
        assert page.evaluate("window.printed") == "#ffffff"
        assert page.evaluate("Streakline.palette().paper") == seen
        it.assert_clean()
