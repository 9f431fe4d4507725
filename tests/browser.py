"""Pages in a real headless Chromium: what it says on its console, asks the network for, and what axe-core finds."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Route, ViewportSize, sync_playwright

AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js")
VIEWPORT: ViewportSize = {"width": 1280, "height": 900}
_LOCAL = frozenset({"127.0.0.1", "localhost"})
_LOCAL_SCHEMES = frozenset({"file", "data", "blob", "about"})


def chromium() -> str:
    """Where it is. Skips the test where it is not installed."""
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    return found


@contextmanager
def running_browser() -> Iterator[Browser]:
    """A Chromium of our own; as root it cannot have a sandbox."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--force-prefers-reduced-motion"]
        )
        yield browser
        browser.close()


class Watched:
    """One page, and what went wrong on it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        """warnings and errors on its console, exceptions that nothing caught, answers of 400 and more"""
        self.left_the_machine: list[str] = []
        """addresses that it asked for elsewhere; they were not fetched"""
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))
        page.on("requestfailed", self._on_failed)
        page.on("response", lambda it: self.complaints.append(f"{it.status} {it.url}") if it.status >= 400 else None)
        page.route("**/*", self._route)

    def serious_violations(self) -> list[str]:
        """What axe-core finds on the page as it stands that is serious or critical, with the elements."""
        self.page.evaluate(AXE.read_text("utf-8"))
        found = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{each['id']}: {each['help']}: {[node['html'][:200] for node in each['nodes'][:5]]}"
            for each in found["violations"]
            if each["impact"] in {"serious", "critical"}
        ]

    def assert_clean(self) -> None:
        """Nothing was complained of, and nothing left the machine."""
        assert self.complaints == []
        assert self.left_the_machine == []

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in {"warning", "error"}:
            self.complaints.append(f"{message.type}: {message.text}")

    def _on_failed(self, request: Request) -> None:
        # What is under way when a page is left, such as a stream of events, is aborted.
        if request.failure != "net::ERR_ABORTED":
            self.complaints.append(f"{request.failure} {request.url}")

    def _route(self, route: Route) -> None:
        url = urlsplit(route.request.url)
        if url.scheme in _LOCAL_SCHEMES or url.hostname in _LOCAL:
            route.continue_()
        else:
            self.left_the_machine.append(route.request.url)
            route.abort()


@contextmanager
def watched(browser: Browser, *, dark: bool = False, viewport: ViewportSize = VIEWPORT) -> Iterator[Watched]:
    """A fresh page of `browser`, with a profile of its own."""
    context = browser.new_context(viewport=viewport, color_scheme="dark" if dark else "light")
    yield Watched(context.new_page())
    context.close()
