"""`streakline dashboard` as the process that people start."""

import signal
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from streakline.processes import free_port
from tests.commands import start, streakline
from tests.dashboard import Dashboard
from tests.live_writing import LiveWriter, live_run

TOKEN = "0123456789abcdef0123456789abcdef"


@contextmanager
def started(*options: str | Path, environ: dict[str, str]) -> Iterator[tuple["subprocess.Popen[bytes]", str]]:
    """The process, and the URL that it names."""
    process = start("dashboard", "--port", "0", *options, environ=environ)
    assert process.stderr is not None
    try:
        said = ""
        while not said.startswith("dashboard "):
            said = process.stderr.readline().decode()
            assert said, "it ended"
        yield process, said.split()[1]
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("way", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_told_to_end_with_pages_open(redis_url: str, lake: Path, way: signal.Signals) -> None:
    prefix = f"cli-{way}."
    environ = {"STREAKLINE_REDIS_URL": redis_url, "STREAKLINE_TOPIC_PREFIX": prefix}
    LiveWriter(redis_url, prefix).show(live_run("a"))
    with started("--lake", lake, environ=environ) as (process, url):
        dashboard = Dashboard(int(url.rstrip("/").rpartition(":")[2]))
        with dashboard.events("/events/runs") as events, dashboard.events("/events/runs/a") as run_events:
            next(events)
            next(run_events)
            process.send_signal(way)
            assert process.wait(timeout=10) == 0


def test_it_answers_before_it_has_read_anything(tmp_path: Path) -> None:
    environ = {"STREAKLINE_REDIS_URL": f"redis://127.0.0.1:{free_port()}/0", "STREAKLINE_LAKE": str(tmp_path)}
    with started(environ=environ) as (_, url), urllib.request.urlopen(f"{url}healthz") as answer:
        assert answer.read().startswith(b'{"status":"ok"')


def test_with_tls_and_a_token_it_may_be_exposed(redis_url: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)],
        check=True, capture_output=True,
    )  # fmt: skip
    environ = {"STREAKLINE_REDIS_URL": redis_url, "STREAKLINE_LAKE": str(tmp_path)}
    options = ("--host", "0.0.0.0", "--token-file", tmp_path / "token", "--tls-cert", cert, "--tls-key", key)
    with started(*options, environ=environ) as (_, url):
        assert url.startswith("https://127.0.0.1:")
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {TOKEN}"})
        with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=str(cert))) as answer:
            assert answer.status == 200


@pytest.mark.parametrize(
    ("options", "environ", "says"),
    [
        (("--host", "0.0.0.0"), {}, "only with a token"),
        (("--tls-cert", "none.pem"), {}, "both --tls-cert and --tls-key"),
        (("--tls-cert", "none.pem", "--tls-key", "none.pem"), {}, "cannot be used"),
        ((), {"STREAKLINE_REDIS_URL": "no url"}, "is no Redis URL"),
        (("--lake", "gs://anonymous@bucket/lake"), {}, "mount it"),
        (("--host", "203.0.113.1"), {"STREAKLINE_DASHBOARD_TOKEN": TOKEN}, "cannot listen on"),
    ],
)
def test_what_cannot_be_served_is_said_in_a_sentence(
    options: tuple[str, ...], environ: dict[str, str], says: str
) -> None:
    ended = streakline("dashboard", "--port", "0", *options, environ=environ)
    assert ended.code == 2
    assert says in ended.err
    assert "Traceback" not in ended.err


def test_a_port_that_is_taken_is_named(tmp_path: Path, redis_url: str) -> None:
    environ = {"STREAKLINE_REDIS_URL": redis_url, "STREAKLINE_LAKE": str(tmp_path)}
    with started(environ=environ) as (_, url):
        port = url.rstrip("/").rpartition(":")[2]
        ended = streakline("dashboard", "--port", port, environ=environ)
        assert (ended.code, f"127.0.0.1:{port}" in ended.err) == (2, True)


def test_without_its_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streakline.extras.missing_for_dashboard", lambda: "aiohttp")
    ended = streakline("dashboard")
    assert (ended.code, "streakline[dashboard]" in ended.err) == (2, True)


def test_exposed_without_tls_it_warns(redis_url: str, tmp_path: Path) -> None:
    environ = {
        "STREAKLINE_REDIS_URL": redis_url,
        "STREAKLINE_LAKE": str(tmp_path),
        "STREAKLINE_DASHBOARD_TOKEN": TOKEN,
        "STREAKLINE_DASHBOARD_HOST": "0.0.0.0",
    }
    process = start("dashboard", "--port", "0", environ=environ)
    assert process.stderr is not None
    assert "without TLS" in process.stderr.readline().decode()
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert time.monotonic() - begun < 20
