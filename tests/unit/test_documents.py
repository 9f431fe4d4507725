"""Every page of the repository: its links and anchors lead somewhere, and a test runs what it has people type."""

import re
from pathlib import Path

import pytest

from tests.documents import ROOT, anchors, blocks, prose

PAGES = sorted(
    page
    for page in ROOT.rglob("*.md")
    if not any(part.startswith(".") or part == "node_modules" for part in page.relative_to(ROOT).parts)
)
LANGUAGES = ("sh", "python", "sql", "toml", "json", "yaml")
# Every file of tests, so that a page can be looked for in it.
TESTS = {path: path.read_text() for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__)}


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def targets(page: Path) -> list[str]:
    """What it links to in this repository: files, and places in files."""
    found = re.findall(r"\]\(([^)\s]+)\)", prose(page.read_text()))
    return [link for link in found if not re.match(r"[a-z]+:", link)]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_and_anchor_leads_somewhere(page: Path) -> None:
    lost: list[str] = []
    for target in targets(page):
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        if not place.exists() or (anchor and anchor not in anchors(place.read_text())):
            lost.append(target)
    assert lost == []


def test_every_page_of_the_folder_is_in_its_index() -> None:
    listed = {target for target in targets(ROOT / "docs" / "README.md") if "/" not in target}
    assert listed >= {page.name for page in PAGES if page.parent == ROOT / "docs"} - {"README.md"}


@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(blocks(page.read_text(), each) for each in LANGUAGES)], ids=name
)
def test_what_a_page_has_people_type_is_run_by_a_test(page: Path) -> None:
    """A test reads the page; that it runs all of it, it says itself."""
    assert any(f'"{page.name}"' in text for text in TESTS.values())


def test_an_image_is_shown_on_a_page() -> None:
    shown = {(page.parent / target).resolve() for page in PAGES for target in targets(page)}
    assert set((ROOT / "docs" / "images").iterdir()) <= shown
