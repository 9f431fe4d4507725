"""Every command of docs/operations.md, run as it stands there; topics and folders are the test's own."""

import re
import shlex
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import fields

from producers.codec import encode
from producers.kafka import KafkaSettings
from producers.spool.settings import SpoolSettings
from producers.topics import TopicSettings, partition_counts, topic_names
from streakline.processes import stop
from streakline.redis_server import running_redis
from stream_app.engine.replay import steps
from stream_app.histories import ProjectHistory, encode_history
from stream_app.settings import StreamSettings
from tests.asked_lake import write_asked_lake
from tests.clusters import forget_topics
from tests.commands import settings_environ, start, streakline
from tests.documents import ROOT, blocks, links
from tests.publishing import publish_to
from tests.worker import READY
from tests.workload import Published
from workers.lake.session import Session
from workers.settings import DiffSettings, DiffWorkerSettings

FOLDER = ROOT / "docs"
GUIDE = (FOLDER / "operations.md").read_text()
LOOK, LOOK_AGAIN, NEW_TOPICS, TAKE_OVER, THRESHOLDS, BACK_UP, FORGET = blocks(GUIDE, "sh")


@pytest.fixture
def environ(
    kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, str]]:
    """Of a place where all is well, which is the current folder."""
    monkeypatch.chdir(tmp_path)
    with running_redis() as url:
        yield {
            **settings_environ(kafka, topics),
            "STREAKLINE_REDIS_URL": url,
            "STREAKLINE_SPOOL_MIN_FREE_BYTES": "0",
            # Importing PyTorch takes its time on a busy machine.
            "STREAKLINE_DOCTOR_TIMEOUT": "240",
            "PYTHONPATH": str(ROOT),
        }


def succeeds(line: str, environ: dict[str, str]) -> str:
    """Run one line, which may set variables for its command alone; gives what it said."""
    words = shlex.split(line)
    own = dict(word.split("=", 1) for word in words if re.match(r"[A-Z_]+=", word))
    program, *arguments = words[len(own) :]
    if program != "streakline":
        return subprocess.run([program, *arguments], check=True, capture_output=True).stdout.decode()
    ended = streakline(*arguments, environ=environ | own)
    assert ended.code == 0, ended.out + ended.err
    return ended.out


def test_the_doctor_finds_nothing_wrong(environ: dict[str, str]) -> None:
    for line in (LOOK + LOOK_AGAIN).splitlines():
        assert "all 7 are there with 4 partitions" in succeeds(line, environ)


def test_more_partitions(environ: dict[str, str], kafka: KafkaSettings, topics: TopicSettings) -> None:
    """The commands; that they lose nothing is seen in test_partitions_changed.py."""
    publish_to(
        kafka, topic_names(topics).projects_changelog, [Published(b"assistant", encode_history(ProjectHistory()))]
    )
    prefix = f"streakline2-{uuid.uuid4().hex[:8]}."
    *exports, ensure, worker = NEW_TOPICS.splitlines()
    for line in exports:
        name, value = line.removeprefix("export ").split("=")
        environ[name] = value.replace("streakline2.", prefix)
    try:
        assert succeeds(ensure, environ).count(" with 16 partitions") == 7
        assert partition_counts(kafka)[f"{prefix}steps"] == 16
        _, *arguments = shlex.split(worker)
        with start(*arguments, environ=environ) as process:
            assert process.stderr is not None
            assert any(READY in line.decode() for line in process.stderr)
            stop(process)
        take_over, look = TAKE_OVER.splitlines()
        said = succeeds(take_over.replace("streakline.", topics.topic_prefix, 1), environ)
        assert said == f"took over 1 project from {topics.topic_prefix} for {prefix}\n"
        assert "(1 looked at)" in succeeds(look, environ)
    finally:
        forget_topics(kafka, prefix)


def test_thresholds_are_tried_before_they_are_in_force(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "thresholds.toml").write_text("[default]\ndivergence_rise = 1.0\n")
    rising = steps(loss=[2.0 + 0.08 * step for step in range(12)])
    (tmp_path / "events.jsonl").write_bytes(b"".join(encode(event) + b"\n" for event in rising))
    detect, look = THRESHOLDS.splitlines()
    assert succeeds(detect, environ) == ""
    assert "loss_diverging" in succeeds("streakline detect events.jsonl", environ)
    assert "it judges by the thresholds of thresholds.toml" in succeeds(look, environ)


def test_a_copy_of_the_lake_is_a_lake(environ: dict[str, str], tmp_path: Path) -> None:
    write_asked_lake(tmp_path / ".streakline" / "lake")
    (tmp_path / "backup").mkdir()
    for _ in range(2):
        copy, ask = BACK_UP.replace("/backup", str(tmp_path / "backup")).splitlines()
        succeeds(copy, environ)
        assert succeeds(ask, environ).split()[-1] == "5"


def test_a_run_is_forgotten(environ: dict[str, str], tmp_path: Path) -> None:
    root = tmp_path / ".streakline" / "lake"
    write_asked_lake(root)
    assert " is gone from " in succeeds(FORGET.strip().replace("sft-7", "sft-3"), environ)
    with Session(str(root)) as session:
        assert ("sft-3",) not in list(session.ask("SELECT DISTINCT run_id FROM runs").rows)
    shutil.rmtree(root)
    assert succeeds(FORGET.strip(), environ) == "nothing of sft-7 is in the lake\n"


def test_every_setting_that_is_named_is_one_with_the_default_that_is_named() -> None:
    kinds = (StreamSettings, SpoolSettings, TopicSettings, DiffSettings, DiffWorkerSettings)
    defaults = {f"STREAKLINE_{field.name.upper()}": field.default for kind in kinds for field in fields(kind)}
    assert set(re.findall(r"STREAKLINE_[A-Z_]+", GUIDE)) <= defaults.keys()
    assert defaults["STREAKLINE_FINISHED_RUN_SECONDS"] == 3600
    assert defaults["STREAKLINE_ABANDONED_RUN_SECONDS"] == 86_400
    assert defaults["STREAKLINE_SPOOL_MAX_BYTES"] == 256 << 20


@pytest.mark.parametrize("path", links(GUIDE))
def test_a_link_leads_somewhere(path: str) -> None:
    assert (FOLDER / path).exists()
