"""`streakline doctor` on real servers, with what is wrong put there."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from producers.kafka import KafkaSettings
from producers.spool.folder import Folder, Owner
from producers.topics import TopicSettings, topic_names
from streakline.processes import free_port
from streakline.redis_server import running_redis
from stream_app.histories import ProjectHistory, encode_history
from tests.commands import Ended, settings_environ, streakline
from tests.documents import ROOT
from tests.guarded_redis import guarded_redis
from tests.publishing import publish_to
from tests.workload import Published


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with running_redis() as url:
        yield url


@pytest.fixture
def environ(kafka: KafkaSettings, topics: TopicSettings, redis_url: str, tmp_path: Path) -> dict[str, str]:
    """Everything as it should be."""
    return {
        **settings_environ(kafka, topics),
        "STREAKLINE_REDIS_URL": redis_url,
        "STREAKLINE_DATA_DIR": str(tmp_path / "data"),
        "STREAKLINE_LAKE": str(tmp_path / "lake"),
        "STREAKLINE_SPOOL_MIN_FREE_BYTES": "0",
        # Importing PyTorch takes its time on a busy machine.
        "STREAKLINE_DOCTOR_TIMEOUT": "240",
    }


def wrong(ended: Ended) -> dict[str, str]:
    """Subject → what was found wrong, and what to do."""
    found = [json.loads(line) for line in ended.lines]
    assert {each["subject"] for each in found} >= {"packages", "kafka", "redis", "stream worker", "lake", "gpu"}
    return {each["subject"]: f"{each['finding']}: {each['remedy']}" for each in found if each["verdict"] == "wrong"}


def asked(environ: Mapping[str, str]) -> dict[str, str]:
    ended = streakline("doctor", "--json", environ=environ)
    found = wrong(ended)
    assert ended.code == (1 if found else 0)
    return found


def test_all_is_well(environ: dict[str, str], topics: TopicSettings) -> None:
    ended = streakline("doctor", "--json", environ=environ)
    assert ended.code == 0
    assert wrong(ended) == {}
    said = {(each["subject"], each["finding"]) for each in map(json.loads, ended.lines)}
    assert ("topics", "all 7 are there with 4 partitions, each with a leader") in said
    assert ("topics", "retention, cleanup and sizes are those of this release, or more") in said
    names = topic_names(topics)
    for changelog in (names.state_changelog, names.projects_changelog):
        assert ("states", f"this release reads the latest of {changelog} (0 looked at)") in said


def test_people_get_a_table(environ: dict[str, str]) -> None:
    ended = streakline("doctor", environ=environ)
    assert ended.code == 0
    assert ended.lines[0].split() == ["what", "was", "found", "what", "to", "do"]
    assert ended.err.startswith("0 wrong, ")


def test_each_thing_that_is_wrong_is_found_beside_the_others(environ: dict[str, str], tmp_path: Path) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    (tmp_path / "file").write_text("x")
    (tmp_path / "lake" / "runs" / "v=2").mkdir(parents=True)
    found = asked(
        environ
        | {
            "STREAKLINE_KAFKA_BOOTSTRAP": nowhere,
            "STREAKLINE_REDIS_URL": f"redis://{nowhere}/0",
            "STREAKLINE_DATA_DIR": str(tmp_path / "file"),
            "STREAKLINE_SPOOL_MAX_BYTES": "many",
            "STREAKLINE_DEVICE": "cuda:99",
        }
    )
    assert found.keys() == {"kafka", "redis", "stream worker", "spool", "lake", "gpu"}
    assert f"no answer from the broker at {nowhere}" in found["kafka"]
    assert "Redis cannot be used" in found["redis"]
    assert "Not a directory" in found["stream worker"]
    assert "STREAKLINE_SPOOL_MAX_BYTES" in found["spool"]
    assert "holds files of a later release (runs/v=2), this one knows v=1 at most" in found["lake"]
    assert "STREAKLINE_DEVICE is cuda:99" in found["gpu"]


def test_topics_that_are_not_there(environ: dict[str, str]) -> None:
    found = asked(environ | {"STREAKLINE_TOPIC_PREFIX": "nobody."})
    assert found["topics"].endswith("not on the broker: run `streakline topics ensure`")


def test_other_partitions_than_the_settings_say(environ: dict[str, str]) -> None:
    found = asked(environ | {"STREAKLINE_PARTITIONS": "9"})
    assert found["topics"].startswith("they have 4 partitions and the settings say 9: set STREAKLINE_PARTITIONS=4")


def test_what_a_later_release_stored(
    environ: dict[str, str], kafka: KafkaSettings, topics: TopicSettings, spool_dir: Path
) -> None:
    publish_to(
        kafka,
        topic_names(topics).projects_changelog,
        [Published(b"old", encode_history(ProjectHistory()))] * 30
        + [Published(b"new", encode_history(ProjectHistory(version=2)))],
    )
    folder = Folder.create(spool_dir, Owner(run_id="r", bootstrap=kafka.kafka_bootstrap, steps="steps", runs="runs"))
    folder.close()
    (folder.path / "owner.json").write_text('{"version":2}')
    found = asked(environ)
    assert found.keys() == {"states", "spool"}
    assert "the stored history of a project is of version 2, this release reads 1 at most" in found["states"]
    assert "of version 2, this release reads 1 at most" in found["spool"]


def test_what_dead_publishers_left_is_a_warning(environ: dict[str, str], kafka: KafkaSettings, spool_dir: Path) -> None:
    Folder.create(spool_dir, Owner(run_id="r", bootstrap="elsewhere:9092", steps="steps", runs="runs")).close()
    ended = streakline("doctor", environ=environ)
    assert ended.code == 0
    assert any("events of 1 publisher that is dead wait" in line for line in ended.lines)


def test_a_user_of_redis_who_may_ask_nothing_of_it(environ: dict[str, str], tmp_path: Path) -> None:
    with guarded_redis(tmp_path) as server:
        ended = streakline("doctor", "--json", environ=environ | {"STREAKLINE_REDIS_URL": server.url()})
        refused = asked(environ | {"STREAKLINE_REDIS_URL": server.url(password="no")})
    assert ended.code == 0
    assert "it answers, and does not let this user ask more of it" in ended.out
    assert "set the user and the password in STREAKLINE_REDIS_URL" in refused["redis"]


_BASE_ONLY = """
import sys
# What sys.modules says is None is not installed, to whoever imports or looks for it.
sys.modules.update(dict.fromkeys("redis pyarrow torch faust aiokafka duckdb prometheus_client numpy".split()))
from streakline.cli.main import main
main()
"""


def test_with_the_base_install_it_says_what_it_could_not_look_at(environ: dict[str, str]) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _BASE_ONLY, "doctor", "--json"],
        env={**os.environ, **environ},
        capture_output=True,
        cwd=ROOT,
        check=False,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    found = [json.loads(line) for line in ended.stdout.splitlines()]
    said = {each["subject"]: (each["verdict"], each["finding"], each["remedy"]) for each in found}
    assert said["redis"] == (
        "warning",
        "it could not be asked: its client is not installed",
        "pip install 'streakline[stream]'",
    )
    assert said["lake"] == ("warning", "what is in it could not be looked at", "pip install 'streakline[workers]'")
    assert said["gpu"][0] == "ok"
    assert said["states"][0] == "ok"


def test_a_silent_port_is_given_up(environ: dict[str, str]) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        address = "{}:{}".format(*server.getsockname())
        found = asked(environ | {"STREAKLINE_KAFKA_BOOTSTRAP": address, "STREAKLINE_REDIS_URL": f"redis://{address}"})
    assert found.keys() == {"kafka", "redis"}


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="apt-get install prometheus has this run")
def test_the_programs_for_alerts_say_their_versions(environ: dict[str, str]) -> None:
    ended = streakline("doctor", environ=environ)
    assert any(line.split()[1:4] == ["alerting", "prometheus,", "version"] for line in ended.lines)
