"""What the dashboard of a local stack is started with."""

import socket

import pytest

from producers.settings import SettingsError
from streakline import stack_dashboard as module
from streakline.stack_dashboard import DASHBOARD_URL, StackDashboard, StackDashboardSettings, stack_dashboard

ENVIRON = {"STREAKLINE_LAKE": "/lake", "STREAKLINE_REDIS_URL": "redis://127.0.0.1:1/0"}


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PORT", "HOST", "TOKEN"):
        monkeypatch.delenv(f"STREAKLINE_DASHBOARD_{name}", raising=False)


def made(settings: StackDashboardSettings) -> tuple[StackDashboard | None, list[str]]:
    said: list[str] = []
    return stack_dashboard(settings, ENVIRON, say=said.append), said


def test_it_listens_where_the_environment_says_and_reads_what_the_stack_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("STREAKLINE_DASHBOARD_PORT", str(port))
    dashboard, said = made(StackDashboardSettings())
    assert dashboard is not None
    assert dashboard.url == f"http://127.0.0.1:{port}/"
    assert list(dashboard.program.command[-3:]) == ["dashboard", "--port", str(port)]
    assert dashboard.program.environ == ENVIRON
    assert said == []


def test_a_port_that_is_taken_is_said_and_another_is_used() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        dashboard, said = made(StackDashboardSettings(port=port))
    assert dashboard is not None
    other = dashboard.program.command[-1]
    assert other != str(port)
    assert said == [f"port {port} is taken: the dashboard listens on {other}"]


def test_it_is_not_served_to_others_without_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAKLINE_DASHBOARD_HOST", "0.0.0.0")
    with pytest.raises(SettingsError, match="only with a token"):
        made(StackDashboardSettings(port=0))


def test_what_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "missing_for_dashboard", lambda: "aiohttp")
    assert made(StackDashboardSettings()) == (
        None,
        ["no dashboard: aiohttp is not installed: pip install 'streakline[dashboard]'"],
    )


def test_one_that_is_started_by_hand_is_where_the_docs_say() -> None:
    assert DASHBOARD_URL == "http://127.0.0.1:8800/"
