"""`python -m tests.report_shots FOLDER`: the report and each of its figures as pictures, light and dark."""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import ViewportSize

from streakline.report.content import Report
from streakline.report.page import render
from tests.browser import running_browser, watched
from tests.sample_report import rich_report

VIEWPORT: ViewportSize = {"width": 1280, "height": 800}


def shoot(report: Report, folder: Path) -> None:
    """`report-….png` is its first screen, and each section has a picture of its name."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, running_browser() as browser:
        file = Path(scratch) / "report.html"
        file.write_text(render(report), "utf-8")
        for scheme in ("light", "dark"):
            with watched(browser, dark=scheme == "dark", viewport=VIEWPORT) as it:
                it.page.goto(file.as_uri())
                it.page.wait_for_function("performance.getEntriesByName('streakline-drawn').length === 1")
                it.page.screenshot(path=folder / f"report-{scheme}.png")
                for section in it.page.locator("section").all():
                    name = section.get_attribute("id")
                    section.screenshot(path=folder / f"report-{name}-{scheme}.png")


if __name__ == "__main__":
    shoot(rich_report(), Path(sys.argv[1]))
