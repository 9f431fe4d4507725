"""What Alertmanager sends when it notifies somebody: its webhook messages, as typed pages and as lines to show."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from streakline.cli.text import printable

Receiver = Literal["pager", "warnings", "digest", "heartbeat"]
"""who is notified, by the path of the webhook"""
Status = Literal["firing", "resolved"]

MAX_LINES = 20
"""of one notification; a storm has hundreds of alerts"""
MAX_LINE_CHARACTERS = 400


class MalformedNotification(ValueError):
    """Not a message of Alertmanager's webhook; says what is wrong with it."""


class Page(Struct, frozen=True, kw_only=True):
    """One alert, as somebody is told of it. Times are Unix seconds."""

    receiver: Receiver
    status: Status
    alert: str
    """its rule's name"""
    run_id: str | None
    type: str | None
    """of the signal behind it"""
    severity: str
    summary: str
    fingerprint: str
    """the same for as long as the alert's labels are"""
    starts_at: float
    received_at: float


class Notification(Struct, frozen=True, kw_only=True):
    """One message: the alerts of a group that somebody is told of together."""

    receiver: Receiver
    status: Status
    """resolved: nothing of the group fires any more"""
    group_key: str
    pages: tuple[Page, ...]
    left_out: int
    """alerts that Alertmanager left out of a long message"""
    received_at: float


class _Alert(Struct, frozen=True, rename="camel"):
    status: Status
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: Annotated[datetime, Meta(tz=True)]
    fingerprint: str


class _Message(Struct, frozen=True, rename="camel"):
    """https://prometheus.io/docs/alerting/latest/configuration/#webhook_config"""

    version: Literal["4"]
    group_key: str
    status: Status
    alerts: list[_Alert]
    truncated_alerts: Annotated[int, Meta(ge=0)] = 0


_decoder = msgspec.json.Decoder(_Message)


def decode_notification(receiver: Receiver, raw: bytes, received_at: float) -> Notification:
    """The message `raw` that came for `receiver`. Raises `MalformedNotification`, whatever `raw` is."""
    try:
        message = _decoder.decode(raw)
    # Deeply nested lists overflow the stack where they are skipped; not every kind of bad text is a DecodeError.
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedNotification(f"not a webhook message of Alertmanager's (version 4): {error}") from None
    return Notification(
        receiver=receiver,
        status=message.status,
        group_key=message.group_key,
        pages=tuple(_page(alert, receiver, received_at) for alert in message.alerts),
        left_out=message.truncated_alerts,
        received_at=received_at,
    )


def _page(alert: _Alert, receiver: Receiver, received_at: float) -> Page:
    return Page(
        receiver=receiver,
        status=alert.status,
        alert=alert.labels.get("alertname", ""),
        run_id=alert.labels.get("run_id"),
        type=alert.labels.get("type"),
        severity=alert.labels.get("severity", ""),
        summary=alert.annotations.get("summary", ""),
        fingerprint=alert.fingerprint,
        starts_at=alert.starts_at.timestamp(),
        received_at=received_at,
    )


def lines(notification: Notification) -> Iterator[str]:
    """A line for each page, safe to show; the rest of a long message is counted."""
    for page in notification.pages[:MAX_LINES]:
        yield _line(page)
    more = max(0, len(notification.pages) - MAX_LINES) + notification.left_out
    if more:
        yield f"{notification.receiver:<9} and {more:,} more in the same message"


def _line(page: Page) -> str:
    state = page.severity if page.status == "firing" else page.status
    # Most summaries name the run.
    subject = "" if page.run_id is None or page.run_id in page.summary else f"{page.run_id}: "
    line = printable(f"{page.receiver:<9} {state:<9} {page.alert}  {subject}{page.summary}")
    return line if len(line) <= MAX_LINE_CHARACTERS else line[: MAX_LINE_CHARACTERS - 1] + "…"
