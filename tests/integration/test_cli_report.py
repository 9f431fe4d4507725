"""`streakline report`: a page in a file, JSON for scripts, and how it fails."""

import json
import shlex
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from streakline import extras
from streakline.report.content import Report
from tests.commands import Ended, streakline
from tests.documents import ROOT, blocks, links
from tests.reported_lake import HOSTILE, ReportedLake, write

GUIDE = (ROOT / "docs" / "reports.md").read_text()


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> ReportedLake:
    return write(tmp_path_factory.mktemp("lake"))


@pytest.fixture
def report(known: ReportedLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ended]:
    """The command, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: streakline("report", *arguments, environ={"STREAKLINE_LAKE": str(known.root)})


class Tags(HTMLParser):
    """What a browser makes of a page, roughly."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.attributes: list[tuple[str, str]] = []
        self.images_of_x = 0
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(name, value or "") for name, value in attrs]
        self.images_of_x += tag == "img"

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_a_page_in_a_file(report: Callable[..., Ended], known: ReportedLake, tmp_path: Path) -> None:
    ended = report(known.run)
    assert (ended.code, ended.err) == (0, "")
    verdict, written = ended.lines
    assert verdict.startswith("Completed; worse than its base in robustness")
    page = (tmp_path / "sft-6.html").read_text()
    assert written == f"sft-6.html, {len(page.encode()) / 1024:,.0f} KiB"
    assert [path.name for path in tmp_path.iterdir()] == ["sft-6.html"]
    tags = Tags(page)
    assert tags.images_of_x == 0
    assert not any(name.startswith("on") for name, _ in tags.attributes)
    shown = "".join(tags.text)
    assert HOSTILE[0] in shown
    assert verdict in shown


def test_every_next_step_is_on_the_page(report: Callable[..., Ended], known: ReportedLake, tmp_path: Path) -> None:
    report(known.run)
    shown = "".join(Tags((tmp_path / "sft-6.html").read_text()).text)
    found = json.loads(report(known.run, "--json").out)["findings"]
    assert len(found) > 10
    for each in found:
        assert each["text"] in shown
        assert each["command"] is None or each["command"] in shown


@pytest.mark.parametrize("which", ["failed", "running", "unchanged", "awkward", "improved", "other_probes"])
def test_a_page_of_whatever_there_is(report: Callable[..., Ended], known: ReportedLake, which: str) -> None:
    ended = report(getattr(known, which), "-o", "page.html")
    assert (ended.code, ended.err) == (0, "")
    assert Path("page.html").read_text().startswith("<!DOCTYPE html>")


def test_a_run_id_leads_nowhere_else(report: Callable[..., Ended], known: ReportedLake, tmp_path: Path) -> None:
    assert report(known.awkward).lines[-1].startswith("%2E..html, ")
    assert [path.name for path in tmp_path.iterdir()] == ["%2E..html"]


def test_a_page_is_replaced_and_may_go_to_stdout(report: Callable[..., Ended], known: ReportedLake) -> None:
    Path("page.html").write_text("another")
    assert report(known.run, "-o", "page.html").code == 0
    ended = report(known.run, "-o", "-")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == Path("page.html").read_text() + "\n"


def test_a_page_that_cannot_be_written(report: Callable[..., Ended], known: ReportedLake) -> None:
    Path("folder").mkdir()
    ended = report(known.run, "-o", "folder")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("streakline: cannot write folder (Is a directory)")
    assert [*Path("folder").iterdir()] == []


def test_json_is_the_report(report: Callable[..., Ended], known: ReportedLake) -> None:
    import msgspec

    ended = report(known.run, "--json")
    assert (ended.code, ended.err) == (0, "")
    assert msgspec.json.decode(ended.out, type=Report).diff is not None
    assert report(known.run, "--json", "-o", "report.json").out == ""
    assert Path("report.json").read_text() == ended.out


def test_next_steps_can_be_taken(report: Callable[..., Ended], known: ReportedLake) -> None:
    for finding in json.loads(report(known.run, "--json", "--lake", str(known.root)).out)["findings"]:
        if finding["command"] is not None:
            _, *arguments = shlex.split(finding["command"])
            ended = streakline(*arguments, environ={"STREAKLINE_LAKE": str(known.root)})
            assert (ended.code, ended.err) == (0, ""), finding
    assert Path("unsure.jsonl").read_bytes().count(b"\n") == 250


def test_next_steps_name_a_lake_that_was_named(known: ReportedLake, tmp_path: Path) -> None:
    ended = streakline("report", known.run, "--json", "--lake", known.root, environ={"STREAKLINE_LAKE": str(tmp_path)})
    commands = [each["command"] for each in json.loads(ended.out)["findings"] if each["command"]]
    assert all(shlex.split(command)[-2:] == ["--lake", str(known.root)] for command in commands)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sft-66"], "the lake knows of no run sft-66, but of sft-6, "),
        (["a'b"], "is no run id: that is 1 to 128 of the characters"),
        (["sft-6", "--project", "it's"], "project it's has no run sft-6: it is in assistant"),
    ],
)
def test_how_it_fails(report: Callable[..., Ended], arguments: list[str], said: str) -> None:
    ended = report(*arguments)
    assert (ended.code, ended.out) == (1, "")
    assert said in ended.err
    assert len(ended.err.splitlines()) == 1


def test_a_lake_with_nothing_in_it(tmp_path: Path) -> None:
    ended = streakline("report", "sft-6", "--lake", tmp_path)
    assert (ended.code, ended.out) == (1, "")
    assert "has no table yet" in ended.err


def test_what_is_not_installed(report: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "jinja2" else object())
    ended = report("sft-6")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        "streakline: a report needs more than is installed (jinja2): pip install 'streakline[dashboard]'\n"
    )


@pytest.mark.parametrize("line", [line for block in blocks(GUIDE, "sh") for line in block.splitlines()])
def test_a_command_of_the_guide_does_what_it_says(report: Callable[..., Ended], known: ReportedLake, line: str) -> None:
    program, name, *arguments = shlex.split(line)
    assert (program, name) == ("streakline", "report")
    ended = report(*arguments)
    assert (ended.code, ended.err) == (0, "")
    assert Path(arguments[-1] if "-o" in arguments else "sft-6.html").stat().st_size


@pytest.mark.parametrize("path", links(GUIDE))
def test_a_link_of_the_guide_leads_somewhere(path: str) -> None:
    assert (ROOT / "docs" / path).exists()
