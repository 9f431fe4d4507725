"""What Alertmanager sends, decoded and shown; whatever else comes is refused."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streakline.pages import (
    MAX_LINE_CHARACTERS,
    MAX_LINES,
    MalformedNotification,
    Notification,
    decode_notification,
    lines,
)
from tests.notifications import alert, message

DAY = 1_700_000_000.0


def decoded(raw: dict[str, Any]) -> Notification:
    return decode_notification("pager", msgspec.json.encode(raw), DAY)


def test_an_alert_becomes_a_page() -> None:
    notification = decoded(message(alert()))
    assert (notification.receiver, notification.status, notification.received_at) == ("pager", "firing", DAY)
    assert notification.group_key == '{}/{severity="critical"}:{alertname="TrainingRunCriticalSignal"}'
    (page,) = notification.pages
    assert (page.receiver, page.status, page.severity) == ("pager", "firing", "critical")
    assert (page.alert, page.run_id, page.type) == ("TrainingRunCriticalSignal", "sft-7", "non_finite")
    assert (page.summary, page.fingerprint) == ("the loss is NaN", "9c2d1f6a0f5b7e31")
    assert page.starts_at == pytest.approx(1_767_225_600.123456789, abs=1e-6)
    assert page.received_at == DAY


def test_an_alert_of_no_run_is_a_page_too() -> None:
    (page,) = decoded(message(alert(labels={"alertname": "StreaklineDown"}, annotations={}))).pages
    assert (page.run_id, page.type, page.severity, page.summary) == (None, None, "", "")


def test_a_message_is_shown_one_line_an_alert() -> None:
    down = alert(
        labels={"alertname": "StreaklineDown", "severity": "critical"}, annotations={"summary": "no worker answers"}
    )
    assert list(lines(decoded(message(alert(), alert(status="resolved"), down)))) == [
        "pager     critical  TrainingRunCriticalSignal  sft-7: the loss is NaN",
        "pager     resolved  TrainingRunCriticalSignal  sft-7: the loss is NaN",
        "pager     critical  StreaklineDown  no worker answers",
    ]


def test_a_run_that_the_summary_names_is_not_named_twice() -> None:
    named = alert(annotations={"summary": "sft-7 has diverged"})
    assert [*lines(decoded(message(named)))] == ["pager     critical  TrainingRunCriticalSignal  sft-7 has diverged"]


def test_a_long_message_is_cut_and_the_rest_counted() -> None:
    shown = list(lines(decoded(message(*[alert()] * (MAX_LINES + 5), truncatedAlerts=7))))
    assert len(shown) == MAX_LINES + 1
    assert shown[-1] == "pager     and 12 more in the same message"


def test_what_a_line_shows_is_not_obeyed_by_a_terminal() -> None:
    hostile = "\x1b[2J\r\n\u202egnp.exe\x9b31m" + "x" * 10_000
    labels = {"alertname": hostile, "severity": "\x07", "run_id": "a\nb"}
    (line,) = lines(decoded(message(alert(labels=labels, annotations={"summary": hostile}))))
    assert line.isprintable()
    assert line.startswith(r"pager     \x07         \x1b[2J\r\n\u202egnp.exe\x9b31mxxx")
    assert len(line) == MAX_LINE_CHARACTERS


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"version":"4"',
        b"\xff\xfe",
        b'{"version":"4","groupKey":"\xff"}',
        b'{"x":' + b"[" * 2_000_000,
        b'{"x":' + b'{"y":' * 500_000,
        b'{"version":"4","truncatedAlerts":' + b"9" * 5000 + b"}",
        msgspec.json.encode(message(alert()) | {"version": "3"}),
        msgspec.json.encode(message(alert()) | {"alerts": "all"}),
        msgspec.json.encode(message(alert(status="odd"))),
        msgspec.json.encode(message(alert(startsAt="yesterday"))),
        msgspec.json.encode(message(alert(startsAt="0000-00-00T00:00:00Z"))),
        msgspec.json.encode(message(alert(labels={"alertname": 7}))),
        msgspec.json.encode(message(alert(), truncatedAlerts=-1)),
    ],
    ids=lambda raw: raw[:40].decode(errors="backslashreplace"),
)
def test_anything_else_is_refused_with_a_sentence(raw: bytes) -> None:
    with pytest.raises(MalformedNotification, match="not a webhook message"):
        decode_notification("pager", raw, DAY)


@given(st.binary(max_size=200))
def test_no_bytes_do_worse_than_being_refused(raw: bytes) -> None:
    with pytest.raises(MalformedNotification):
        decode_notification("warnings", raw, DAY)


# Times at the ends of the calendar, too, in zones that lead beyond them.
@given(st.sampled_from(["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-14:00", "0001-01-01T00:00:00Z"]))
def test_every_moment_is_a_number(moment: str) -> None:
    (page,) = decoded(message(alert(startsAt=moment))).pages
    assert isinstance(page.starts_at, float)
