import re
from html.parser import HTMLParser

import msgspec
import pytest

from streakline.report.content import SCOPES_SHOWN, Report
from streakline.report.page import ANSWERS_OPEN, SIGNALS_OPEN, policy, render
from streakline.web.assets import content_hash
from tests.sample_report import HOSTILE, empty_report, hostile_report, largest_report, rich_report

REPORTS = {"empty": empty_report, "rich": rich_report, "hostile": hostile_report, "largest": largest_report}
_VOID = frozenset({"meta", "link", "br", "img", "input", "hr"})
_OF_SVG = frozenset({"path", "rect", "circle"})


class Document(HTMLParser):
    """What a page is made of. Complains of an element that is not closed, or closed twice."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in _VOID:
            self.open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in _OF_SVG | _VOID
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts[self.open[-1]][-1] += data


@pytest.mark.parametrize("report", [make() for make in REPORTS.values()], ids=REPORTS)
def test_the_page_needs_nothing_and_breaks_no_rule_of_its_policy(report: Report) -> None:
    html = render(report)
    page = Document(html)
    names = {name for _, name, _ in page.attributes}
    assert "style" not in names
    assert not [name for name in names if name.startswith("on")]
    addresses = [value for _, name, value in page.attributes if name in {"href", "src", "action", "data"}]
    assert addresses
    assert all(value == "data:," or value.startswith("#") for value in addresses)
    for target in (value for value in addresses if value.startswith("#")):
        assert f'id="{target[1:]}"' in html
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    (stated,) = (value for _, name, value in page.attributes if name == "content" and "default-src" in value)
    assert stated == policy()
    data = [text for text in page.texts["script"] if text.startswith(("{", "["))]
    for text in page.texts["style"] + [text for text in page.texts["script"] if text not in data]:
        assert content_hash(text) in stated
    for text in data:
        msgspec.json.decode(text)


def test_the_policy_allows_nothing_else() -> None:
    assert re.sub(r"'sha256-[\w+/=]+'", "#", policy()).replace("# ", "").split("; ") == [
        "default-src 'none'",
        "script-src #",
        "style-src #",
        "img-src data: blob:",
        "base-uri 'none'",
        "form-action 'none'",
    ]


def test_an_empty_report_says_of_each_part_what_would_fill_it() -> None:
    html = render(empty_report())
    assert html.count('<p class="empty">') == 8
    assert "<figure" not in html
    assert "<table" not in html


def test_a_diff_of_which_nothing_was_measured_says_so_too() -> None:
    rich = rich_report()
    assert rich.diff is not None
    parts = ("scores", "layers", "histories", "calibration", "bins", "topics", "low_confidence", "heaviest_layers")
    bare = msgspec.structs.replace(rich.diff, **dict.fromkeys(parts, ()), low_confidence_total=0)
    html = render(msgspec.structs.replace(rich, diff=bare))
    assert html.count('<p class="empty">') == 5
    assert html.count("<figure") == 1


def test_the_licence_of_what_draws_comes_with_it() -> None:
    assert "Copyright (c) 2022 Leon Sorokin" in render(empty_report())


def test_an_attempt_may_be_named_by_its_second() -> None:
    rich = rich_report()
    second = 1_700_000_000
    signals = tuple(msgspec.structs.replace(each, attempt=second) for each in rich.signals)
    timelines = tuple(msgspec.structs.replace(each, attempt=second) for each in rich.timelines[:1])
    html = render(msgspec.structs.replace(rich, attempt=second, signals=signals, timelines=timelines))
    assert "Attempt of 2023-11-14 22:13:20Z: 1,400 steps" in html
    assert "<tr><td>2023-11-14 22:13:20Z</td><td>880</td>" in html


def test_every_finding_is_there_with_its_command() -> None:
    report = rich_report()
    page = Document(render(report))
    said = page.texts["span"]
    assert all(finding.text in said for finding in report.findings)
    commands = [finding.command for finding in report.findings if finding.command is not None]
    assert page.texts["pre"] == commands


def test_a_fall_names_the_run_before_it() -> None:
    html = render(rich_report())
    assert "fell 8.2 points, more than chance" in html
    assert "(after support-assistant/run-07)" in html
    assert "fell 6.4 points, may be chance" in html


def test_rows_that_were_left_out_are_told_of() -> None:
    rich = rich_report()
    assert rich.diff is not None
    one = msgspec.structs.replace(rich, diff=msgspec.structs.replace(rich.diff, left_out=1))
    assert "1 row of the diff had a figure that is no number, and is in none of the above." in render(one)
    assert "figure that is no number" not in render(rich)


def test_a_checkpoint_that_was_not_compared_is_named() -> None:
    waiting = msgspec.structs.replace(empty_report(), checkpoint="/checkpoints/<1>")
    assert "/checkpoints/<1>" in Document(render(waiting)).texts["dd"]


def test_of_many_layers_some_are_named_and_a_long_message_is_cut_in_the_plot_only() -> None:
    rich = rich_report()
    layers = tuple(f"layers.{number}" for number in range(9))
    marker = msgspec.structs.replace(rich.signals[0], layers=layers, message="m" * 400)
    html = render(msgspec.structs.replace(rich, signals=(marker,)))
    assert "layers.0, layers.1, layers.2, layers.3, layers.4, layers.5 and 3 more</div>" in html
    assert html.count("m" * 400) == 1
    assert f'"{"m" * 239}…"' in html


def test_what_failed_and_why() -> None:
    failed = msgspec.structs.replace(rich_report(), ending="failed", error="CUDA out of memory\n  at step <3>")
    assert "CUDA out of memory\n  at step <3>" in Document(render(failed)).texts["pre"]


def test_every_signal_has_its_row_and_many_are_folded() -> None:
    few, many = render(rich_report()), render(largest_report())
    assert "gravest" not in few
    assert all(signal.message in few for signal in rich_report().signals)
    assert "12,345 fired; the 2,000 gravest are here" in many
    assert f"<summary>{2000 - SIGNALS_OPEN:,} more</summary>" in many
    assert f"<summary>{200 - ANSWERS_OPEN} more</summary>" in many
    assert " more</summary>" not in few


def test_hostile_text_is_text() -> None:
    page = Document(render(hostile_report()))
    assert page.texts["h1"] == [HOSTILE]
    assert HOSTILE in page.texts["pre"]
    assert not [tag for tag, _, _ in page.attributes if tag == "img"]
    assert "{{7*7}}" in page.texts["title"][0]


def test_what_does_not_print_is_escaped_wherever_it_is_shown() -> None:
    page = Document(render(hostile_report("a\u202eb\x1b[2J\x00")))
    shown = [text for tag, texts in page.texts.items() if tag != "script" for text in texts]
    assert not [text for text in shown if re.search("[\x00\x1b\u202e]", text)]
    assert page.texts["h1"] == ["a\\u202eb\\x1b[2J\\x00"]
    assert not [value for _, _, value in page.attributes if re.search("[\x00\x1b\u202e]", value)]


def test_a_long_prompt_is_folded_and_whole() -> None:
    rich = rich_report()
    assert rich.diff is not None
    prompt = "word " * 100
    row = msgspec.structs.replace(rich.diff.low_confidence[0], prompt=prompt)
    html = render(msgspec.structs.replace(rich, diff=msgspec.structs.replace(rich.diff, low_confidence=(row,))))
    assert prompt in Document(html).texts["div"]
    assert f"{prompt[:200]}…" in Document(html).texts["summary"]


def test_the_report_of_a_long_run_stays_below_two_megabytes() -> None:
    assert len(render(largest_report()).encode()) < 2e6


def test_a_probe_set_of_many_topics_makes_no_endless_tables() -> None:
    rich = rich_report()
    assert rich.diff is not None
    score = next(row for row in rich.diff.scores if row.scope == "topic")
    topic = rich.diff.topics[0]
    many = 5_000
    diff = msgspec.structs.replace(
        rich.diff,
        scores=tuple(msgspec.structs.replace(score, topic=f"s{each}", delta=each / many) for each in range(many)),
        topics=tuple(msgspec.structs.replace(topic, topic=f"c{each}", ece=each / many) for each in range(many)),
    )
    html = render(msgspec.structs.replace(rich, diff=diff))
    assert "(5,000; the 200 that changed most are here)" in html
    assert "Of 5,000 topics the 200 of the largest error are here." in html
    for kind in "sc":
        shown = {int(each) for each in re.findall(rf">{kind}(\d+)</t", html)}
        assert shown == set(range(many - SCOPES_SHOWN, many))
