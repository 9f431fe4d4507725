"""What the dashboard answers to whom: pages, headers, the token, names that are none of its own."""

import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from streakline.dashboard.events import EventStreams
from tests.dashboard import Dashboard, running_dashboard
from tests.live_writing import LiveWriter, live_run

TOKEN = "0123456789abcdef0123456789abcdef"
HTML = {"Accept": "text/html"}


@pytest.fixture
def guarded(redis_url: str, lake: Path, prefix: str) -> Iterator[Dashboard]:
    with running_dashboard(redis_url, lake, prefix, token=TOKEN) as running:
        yield running


def known(dashboard: Dashboard, path: str) -> str:
    """The page, once the run is known."""
    deadline = time.monotonic() + 20
    while True:
        answer = dashboard.ask(path)
        if answer.status == 200 or time.monotonic() > deadline:
            assert answer.status == 200
            return answer.text
        time.sleep(0.1)


@pytest.mark.parametrize(
    "path",
    ["/", "/login", "/healthz", "/runs/sft-3", "/runs/none", "/projects/assistant", "/nowhere", "/static/x/y.js"],
)
def test_every_answer_has_the_headers_that_keep_it_safe(dashboard: Dashboard, path: str) -> None:
    headers = dashboard.ask(path, headers=HTML).headers
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == ("same-origin" if path == "/login" else "no-referrer")
    assert headers["Cross-Origin-Opener-Policy"] == headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Server"] == "streakline"


def test_pages_hold_no_script_and_no_style_of_their_own(dashboard: Dashboard) -> None:
    for path in ("/", "/login", "/runs/sft-3", "/projects/assistant", "/runs/none"):
        text = dashboard.ask(path).text
        assert "style=" not in text
        assert "<style" not in text
        assert "onclick" not in text
        assert text.count("<script") == text.count('<script src="/static/')


def test_scripts_may_be_kept_for_ever(dashboard: Dashboard) -> None:
    path = dashboard.ask("/").text.partition('<script src="')[2].partition('"')[0]
    answer = dashboard.ask(path)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/javascript; charset=utf-8")
    assert "immutable" in answer.headers["Cache-Control"]
    version = path.split("/")[2]
    for wrong in (
        f"/static/{version}/../server.py",
        f"/static/{version}/%2e%2e/server.py",
        f"/static/{version[:-1]}/text.js",
    ):
        assert dashboard.ask(wrong).status == 404


def test_the_report_has_the_policy_of_its_document(dashboard: Dashboard) -> None:
    answer = dashboard.ask("/runs/sft-3/report")
    assert answer.status == 200
    policy = answer.headers["Content-Security-Policy"]
    assert "script-src 'sha256-" in policy
    assert policy.endswith("frame-ancestors 'none'")
    assert "unsafe" not in policy
    # The second time it is the same.
    assert dashboard.ask("/runs/sft-3/report").body == answer.body
    assert dashboard.ask("/runs/none/report").status == 404


def test_a_run_of_any_name_has_a_page(dashboard: Dashboard, writer: LiveWriter) -> None:
    writer.show(live_run("team/sft:1@x"), live_run(".."), live_run("a/../b", project="<img src=x onerror=alert(1)>"))
    assert "<h1>team/sft:1@x</h1>" in known(dashboard, "/runs/team%2Fsft%3A1%40x")
    assert "<h1>..</h1>" in known(dashboard, "/runs/~..")
    page = known(dashboard, "/runs/a%2F..%2Fb")
    assert "<img" not in page
    assert "&lt;img src=x" in page


def test_what_is_not_there_says_so_with_what_was_meant(dashboard: Dashboard) -> None:
    known(dashboard, "/runs/sft-3")
    answer = dashboard.ask("/runs/sft-33")
    assert answer.status == 404
    assert '<a href="/runs/sft-3">sft-3</a>' in answer.text
    hostile = dashboard.ask("/runs/%3Cscript%3Ealert(1)%3C%2Fscript%3E")
    assert hostile.status == 404
    assert "<script>alert" not in hostile.text
    assert "assistant" in dashboard.ask("/projects/asistant").text
    assert dashboard.ask("/events/runs/%3Cscript%3E").status == 404
    missing = dashboard.ask("/nowhere", headers=HTML)
    assert (missing.status, "<h1>Not Found</h1>" in missing.text) == (404, True)


def test_a_project_shows_its_scores_and_regressions(dashboard: Dashboard) -> None:
    page = known(dashboard, "/projects/assistant")
    assert "Scores against base-1b" in page
    assert 'class="fall"' in page
    assert "22.0 points" in page
    assert "▼ no" in page


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_nothing_can_be_written(dashboard: Dashboard, method: str) -> None:
    for path in ("/", "/runs/sft-3", "/events/runs"):
        assert dashboard.ask(path, method=method).status == 405


def test_headers_alone_may_be_asked_for(dashboard: Dashboard) -> None:
    for path in ("/", "/events/runs", "/events/runs/sft-3"):
        answer = dashboard.ask(path, method="HEAD")
        assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8800", "[::ffff:10.0.0.1]", "x y"])
def test_without_a_token_other_names_are_not_answered_to(dashboard: Dashboard, host: str) -> None:
    answer = dashboard.ask("/", headers={"Host": host})
    assert answer.status in {400, 403}
    assert "Runs" not in answer.text


def test_with_a_token_any_name_is_answered_to_and_nothing_without_it(guarded: Dashboard) -> None:
    bearer = {"Authorization": f"Bearer {TOKEN}", "Host": "dash.example"}
    assert guarded.ask("/", headers=bearer).status == 200
    for path in ("/", "/runs/sft-3", "/runs/sft-3/report", "/events/runs", "/projects/assistant", "/nowhere"):
        answer = guarded.ask(path)
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert guarded.ask(path, headers={"Authorization": "Bearer wrong"}).status == 401
        assert TOKEN not in answer.text
    assert guarded.ask("/healthz").status == 200
    moved = guarded.ask("/runs/sft-3?x=1", headers=HTML)
    assert (moved.status, moved.headers["Location"]) == (303, "/login?next=/runs/sft-3?x%3D1")


def test_the_form_gives_a_cookie_for_the_token(guarded: Dashboard) -> None:
    def send(token: str, origin: str | None, wanted: str = "/runs/sft-3") -> tuple[int, dict[str, str]]:
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Host": "dash.example"}
        if origin is not None:
            headers["Origin"] = origin
        body = urlencode({"token": token, "next": wanted})
        answer = guarded.ask("/login", method="POST", body=body, headers=headers)
        return answer.status, dict(answer.headers)

    for origin in (None, "null", "https://evil.example"):
        assert send(TOKEN, origin)[0] == 403
    assert send("wrong", "http://dash.example")[0] == 401
    status, headers = send(f" {TOKEN} ", "https://dash.example")
    cookie = headers["Set-Cookie"]
    assert (status, headers["Location"]) == (303, "/runs/sft-3")
    assert {"HttpOnly", "SameSite=Strict", "Secure", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    assert TOKEN not in cookie
    assert "Secure" not in send(TOKEN, "http://dash.example")[1]["Set-Cookie"]
    assert send(TOKEN, "http://dash.example", "//evil.example")[1]["Location"] == "/"
    assert guarded.ask("/", headers={"Cookie": cookie.partition(";")[0]}).status == 200
    assert guarded.ask("/", headers={"Cookie": "streakline-dashboard=9999999999.00"}).status == 401


def test_without_a_token_the_form_leads_on(dashboard: Dashboard) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": dashboard.url}
    answer = dashboard.ask("/login", method="POST", body="token=x", headers=headers)
    assert (answer.status, answer.headers["Location"]) == (303, "/")
    assert "Set-Cookie" not in answer.headers


def test_streams_are_limited(redis_url: str, lake: Path, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EventStreams.__init__, "__defaults__", (1,))
    with running_dashboard(redis_url, lake, prefix) as dashboard:
        with dashboard.events("/events/runs") as events:
            next(events)
            refused = dashboard.ask("/events/runs")
            assert (refused.status, refused.headers["Retry-After"]) == (503, "5")
        deadline = time.monotonic() + 20
        while dashboard.ask("/events/runs", method="HEAD").status != 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)
