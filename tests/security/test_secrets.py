"""What lets in stays with those who were told: it is in no output, log, metric, page, record, file or command line."""

import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from producers.codec import encode
from producers.events import RunCompleted
from producers.kafka import KafkaSettings
from producers.reader import read_topic
from producers.topics import TopicSettings, topic_names
from streakline.processes import free_port, is_listening, spawn, stop
from streakline.redis_server import redis_command
from tests.commands import COMMAND, settings_environ
from tests.dashboard import Dashboard
from tests.publishing import publish_to
from tests.told_secrets import Secrets
from tests.worker import wait_until
from tests.workload import Published

AT_ONCE = 6
"""commands, most of which wait for a broker"""
DEADLINE_SECONDS = 180.0

TRAINER = """
import logging
from streakline import StepPublisher

logging.basicConfig(level=logging.DEBUG)
with StepPublisher(run_id="sft-1", close_timeout_seconds=1.0) as run:
    run.step(0, 1.0)
"""
ASK_KAFKA = (
    ("stream",),
    ("diff-worker",),
    ("archive",),
    ("topics", "ensure"),
    ("topics", "take-over", "old."),
    ("runs",),
    ("signals",),
    ("dead-letters", "list"),
    ("replay", "streakline/demo/recordings/smollm2-diverging.jsonl"),
    ("up", "--no-alerts"),
)
ASK_THE_LAKE = (
    ("query", "SELECT 1"),
    ("report", "sft-1"),
    ("compact",),
    ("forget", "sft-1"),
    ("doctor",),
    ("detect", "--from-lake"),
    ("dashboard", "--port", "0"),
)
PAGES = ("/", "/login", "/healthz", "/runs/sft-1", "/projects/default", "/nowhere")


@pytest.fixture
def secrets() -> Secrets:
    return Secrets.make()


@pytest.fixture
def redis_port() -> Iterator[int]:
    """Of a server that wants another password."""
    port = free_port()
    process = spawn([*redis_command(port), "--requirepass", "another"])
    try:
        wait_until(lambda: is_listening(port))
        yield port
    finally:
        stop(process)


def said_by(command: tuple[str, ...], environ: Mapping[str, str]) -> bytes:
    """Everything that it says until it ends."""
    ended = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **environ},
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    return ended.stdout


def test_no_command_tells_one_where_servers_are_away_or_refuse(
    secrets: Secrets, broker: str, redis_port: int, tmp_path: Path, spool_dir: Path
) -> None:
    encoded, malformed = (secrets.store_uri("lake", encoded=encoded) for encoded in (True, False))
    environ = secrets.environ(redis_port=redis_port, lake=encoded) | {
        # Nobody there, and one that knows of no passwords.
        "STREAKLINE_KAFKA_BOOTSTRAP": f"127.0.0.1:{free_port()},{broker}",
        "STREAKLINE_STATE_DIR": str(tmp_path / "state"),
    }
    checkpoint = secrets.store_uri("models/run")
    asked = [
        *((*COMMAND, *command) for command in (*ASK_KAFKA, *ASK_THE_LAKE)),
        (*COMMAND, "diff", "models/base", "models/run"),
        (sys.executable, "-c", TRAINER),
    ]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        said = dict(zip(asked, pool.map(lambda command: said_by(command, environ), asked), strict=True))
        badly = [(*COMMAND, *command) for command in ASK_THE_LAKE]
        of_no_lake = pool.map(lambda command: said_by(command, environ | {"STREAKLINE_LAKE": malformed}), badly)
        named = (*COMMAND, "diff", checkpoint, checkpoint)
        texts = [*said.items(), *zip(badly, of_no_lake, strict=True), (named, said_by(named, environ))]
    for command, text in texts:
        assert text, f"{command} says nothing"
        assert b"Traceback" not in text, text.decode()
        assert secrets.told_in(text) == [], (command, text.decode())
    assert list(spool_dir.rglob("owner.json")), "the trainer keeps what it cannot send"
    assert secrets.files_that_tell(tmp_path) == []


def test_no_worker_tells_one_while_it_works(
    kafka: KafkaSettings, topics: TopicSettings, secrets: Secrets, redis_port: int, tmp_path: Path
) -> None:
    environ = {
        **secrets.environ(redis_port=redis_port, lake=secrets.store_uri("lake")),
        **settings_environ(kafka, topics),
        # The password is there, and not asked for.
        "STREAKLINE_KAFKA_SECURITY_PROTOCOL": "PLAINTEXT",
        "STREAKLINE_SESSION_TIMEOUT_SECONDS": "6",
        "STREAKLINE_DIFF_ATTEMPTS": "1",
        "STREAKLINE_ARCHIVE_SECONDS": "1",
        "STREAKLINE_STATE_DIR": str(tmp_path),
        "STREAKLINE_DATA_DIR": str(tmp_path / "data"),
    }
    names = topic_names(topics)
    # One whose checkpoint cannot be fetched, and one whose trainer names a key of its own.
    for run_id, checkpoint in (("away", "s3://bucket/models/away"), ("keyed", secrets.store_uri("models/keyed"))):
        event = RunCompleted(run_id=run_id, ts=1.0, steps=1, base_model=checkpoint, checkpoint=checkpoint)
        publish_to(kafka, names.runs, [Published(run_id.encode(), encode(event))])
        publish_to(kafka, names.steps, [Published(run_id.encode(), encode(event))])
    with working(environ, tmp_path) as ports:
        wait_until(lambda: len(list(read_topic(kafka, names.diffs))) == 2, timeout_seconds=DEADLINE_SECONDS)
        wait_until(lambda: b"streakline_archive_waiting 1" in answer(ports["archive"], "/metrics"))
        taken = f'streakline_events_total{{topic="{names.steps}"}} 2'.encode()
        wait_until(lambda: taken in answer(ports["stream"], "/metrics"))
        pages = {
            (command, path): answer(ports[command], path)
            for command in ("stream", "diff-worker", "archive")
            for path in ("/metrics", "/healthz", "/readyz", "/nowhere")
        }
        for path in PAGES:
            pages["dashboard", path] = answer(ports["dashboard"], path)
            pages["let in", path] = answer(ports["dashboard"], path, token=secrets.token)
        access = {"Authorization": f"Bearer {secrets.token}"}
        with Dashboard(ports["dashboard"]).events("/events/runs", access) as events:
            says_why = (repr(event.data) for event in events if "AuthenticationError" in repr(event.data))
            pages["let in", "/events/runs"] = next(says_why).encode()
        shown_by_ps = secrets.command_lines_that_tell()
    assert {page: secrets.told_in(text) for page, text in pages.items() if secrets.told_in(text)} == {}
    assert secrets.files_that_tell(tmp_path) == []
    assert shown_by_ps == []
    told = [message.value() for message in read_topic(kafka, names.diffs)]
    headers = [message.headers() for message in read_topic(kafka, names.dead_letters)]
    assert len(headers) == 2
    assert secrets.told_in(repr((told, headers))) == []


@contextmanager
def working(environ: Mapping[str, str], folder: Path) -> Iterator[dict[str, int]]:
    """Every kind of worker; gives the port of each, which answers."""
    ports = {command: free_port() for command in ("stream", "diff-worker", "archive", "dashboard")}
    with ExitStack() as stack:
        for command, port in ports.items():
            own = {**environ, "STREAKLINE_METRICS_PORT": str(port), "STREAKLINE_DASHBOARD_PORT": str(port)}
            if command == "dashboard":
                # It reads local ones only.
                own["STREAKLINE_LAKE"] = str(folder / "lake")
            stack.callback(stop, spawn([*COMMAND, command], log=folder / f"{command}.log", environ=own))
        wait_until(lambda: all(map(is_listening, ports.values())), timeout_seconds=DEADLINE_SECONDS)
        yield ports


def answer(port: int, path: str, token: str | None = None) -> bytes:
    """Head and body, whatever the status is."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return bytes(response.headers) + bytes(response.read())
    except urllib.error.HTTPError as error:
        return bytes(error.headers) + error.read()
