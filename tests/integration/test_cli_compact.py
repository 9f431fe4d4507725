"""`streakline compact`: few files in the lake, with the same rows, and no measurement that nobody needs."""

import json
import time
from pathlib import Path

from producers.redis.client import connect
from streakline.processes import free_port
from streakline.redis_server import running_redis
from tests.commands import streakline
from tests.unit.workers.lake.rows import common, some_rows
from workers.base_cache import BaseIndex
from workers.lake.tables import RunRow
from workers.lake.writer import Lake

AWAY = {"STREAKLINE_REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}
KEPT = "measurements of bases are all kept: no Redis answers, so when they were last used is not known"


def test_many_small_files_become_one_and_go_later(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    for number in range(16):
        lake.write("runs", some_rows(RunRow, 1, number), common(f"run-{number}"))
    ended = streakline("compact", "--lake", tmp_path, environ=AWAY)
    assert (ended.code, ended.err) == (0, "")
    assert ended.lines[0].startswith("compacted 16 files of runs/v=1 into compact-000001-")
    assert ended.lines[1:] == ["16 files merged into 1", KEPT]
    assert len(list(tmp_path.rglob("*.parquet"))) == 17
    again = streakline("compact", environ={**AWAY, "STREAKLINE_LAKE": str(tmp_path)})
    assert again.lines == ["nothing to compact", KEPT]


def test_measurements_that_nobody_used_for_long_are_deleted(tmp_path: Path) -> None:
    digests = ["0" * 31 + str(number) for number in range(2)]
    for digest in digests:
        entry = tmp_path / "base_cache" / "v=1" / digest / "entry.json"
        entry.parent.mkdir(parents=True)
        entry.write_text(json.dumps({"key": "none"}))
    days = 86_400.0
    with running_redis() as url:
        index = BaseIndex(connect(url), "streakline.")
        for digest, age in zip(digests, (31 * days, 29 * days), strict=True):
            connect(url).hset(
                "streakline.base_cache",
                digest,
                json.dumps({"base_model": "b", "base_sha": "ab", "bytes": 1, "used_at": time.time() - age}),
            )
        environ = {"STREAKLINE_REDIS_URL": url}
        ended = streakline("compact", "--lake", tmp_path, environ=environ)
        assert ended.lines[-1] == "deleted 1 measurement of a base that no diff has used for 30 days"
        assert list(index.all()) == digests[1:]
        ended = streakline("compact", "--lake", tmp_path, "--keep-base-days", "28", environ=environ)
        assert ended.lines[-1] == "deleted 1 measurement of a base that no diff has used for 28 days"
    assert not list(tmp_path.rglob("entry.json"))


def test_a_lake_that_is_not_there_yet_has_nothing_to_compact(tmp_path: Path) -> None:
    ended = streakline("compact", "--lake", tmp_path / "none", environ=AWAY)
    assert (ended.code, ended.lines[0]) == (0, "nothing to compact")


def test_what_cannot_be_compacted_is_one_sentence(tmp_path: Path) -> None:
    ended = streakline("compact", "--lake", "nonsense://x", environ=AWAY)
    assert (ended.code, ended.out) == (2, "")
    assert "neither a folder nor a URI" in ended.err
    ended = streakline("compact", "--lake", tmp_path, environ={"STREAKLINE_REDIS_URL": "nonsense"})
    assert ended.code == 2
    assert "is no Redis URL" in ended.err
