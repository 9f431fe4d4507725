"""What Redis knows of kept measurements, and what of them goes because nobody used it for long."""

from pathlib import Path

import msgspec
import pytest

from producers.redis.client import connect
from tests.unit.workers.base_cache.measurements import folder, key, measurement
from workers.base_cache import BaseIndex, BaseUse, prune
from workers.base_cache.storage import sizes, write
from workers.errors import TransientDiffError
from workers.lake.writer import Lake

KEY = key()
NOW = 1_800_000_000.0


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return tmp_path / "lake"


def use_at(used_at: float, base_sha: str = "aa") -> BaseUse:
    return BaseUse(base_model="base", base_sha=base_sha, bytes=1, used_at=used_at)


HOSTILE: list[tuple[bytes, bytes]] = [
    (b"../../../etc", msgspec.json.encode(use_at(0.0))),
    (b"0" * 32 + b"\n", msgspec.json.encode(use_at(0.0))),
    ("٣".encode() * 32, msgspec.json.encode(use_at(0.0))),
    (b"\xff\xfe", msgspec.json.encode(use_at(0.0))),
    (b"1" * 32, b"\xff\xfe\0"),
    (b"2" * 32, b""),
    (b"3" * 32, b"[" * 100_000),
    (b"4" * 32, b'{"base_model":"\xff","base_sha":"","bytes":1,"used_at":1}'),
    (b"5" * 32, b'{"base_model":"","base_sha":"","bytes":1,"used_at":1e999}'),
    (b"6" * 32, b'{"base_model":"","base_sha":"","bytes":1,"used_at":NaN}'),
    (b"7" * 32, b'{"x":' + b"[" * 100_000),
]


def test_what_others_put_into_redis_is_left_out(redis_url: str, prefix: str, lake: Path) -> None:
    client = connect(redis_url)
    index = BaseIndex(client, prefix)
    for field, value in HOSTILE:
        client.hset(f"{prefix}base_cache", field, value)
    assert index.all() == {}
    index.used(KEY.digest, use_at(1.0))
    assert index.all() == {KEY.digest: use_at(1.0)}
    (lake.parent / "etc").mkdir(parents=True)
    (lake.parent / "etc" / "entry.json").write_text("stays")
    assert prune(Lake(str(lake)), index, 0.0, NOW) == 0
    assert (lake.parent / "etc" / "entry.json").exists()


def test_what_nobody_used_for_long_goes(redis_url: str, prefix: str, lake: Path) -> None:
    index = BaseIndex(connect(redis_url), prefix)
    keys = [key(base_sha=f"{number}") for number in range(4)]
    for each in keys:
        write(Lake(str(lake)), each, measurement())
    old, at_the_edge, fresh, unknown = (each.digest for each in keys)
    index.used(old, use_at(NOW - 100.5))
    index.used(at_the_edge, use_at(NOW - 100))
    index.used(fresh, use_at(NOW - 1))
    index.used("0" * 32, use_at(NOW))
    assert prune(Lake(str(lake)), index, 100.0, NOW) == 1
    assert sizes(Lake(str(lake))).keys() == {at_the_edge, fresh, unknown}
    assert not folder(lake, keys[0]).exists()
    uses = index.all()
    assert uses == {
        at_the_edge: use_at(NOW - 100),
        fresh: use_at(NOW - 1),
        unknown: BaseUse(base_model="", base_sha="3", bytes=sizes(Lake(str(lake)))[unknown], used_at=NOW),
    }
    assert prune(Lake(str(lake)), index, 100.0, NOW + 50) == 1
    assert prune(Lake(str(lake)), index, 100.0, NOW + 200) == 2
    assert sizes(Lake(str(lake))) == {}
    assert index.all() == {}
    assert prune(Lake(str(lake)), index, 100.0, NOW) == 0


@pytest.mark.parametrize("entry", [None, b"garbage"])
def test_what_a_writer_left_unfinished_goes_in_the_end(
    redis_url: str, prefix: str, lake: Path, entry: bytes | None
) -> None:
    index = BaseIndex(connect(redis_url), prefix)
    write(Lake(str(lake)), KEY, measurement())
    (folder(lake, KEY) / "entry.json").unlink()
    if entry is not None:
        (folder(lake, KEY) / "entry.json").write_bytes(entry)
    (folder(lake, KEY) / ".layers.0123.tmp").write_bytes(b"half")
    assert prune(Lake(str(lake)), index, 100.0, NOW) == 0
    assert index.all()[KEY.digest].base_sha == ""
    assert prune(Lake(str(lake)), index, 100.0, NOW + 101) == 1
    assert not folder(lake, KEY).exists()


def test_a_use_in_the_future_keeps_nothing_for_ever(redis_url: str, prefix: str, lake: Path) -> None:
    index = BaseIndex(connect(redis_url), prefix)
    write(Lake(str(lake)), KEY, measurement())
    index.used(KEY.digest, use_at(1e300))
    assert prune(Lake(str(lake)), index, 100.0, NOW) == 0
    assert index.all() == {KEY.digest: use_at(NOW)}


def test_an_entry_that_cannot_be_deleted_keeps_no_other(
    redis_url: str, prefix: str, lake: Path, caplog: pytest.LogCaptureFixture
) -> None:
    index = BaseIndex(connect(redis_url), prefix)
    keys = [key(base_sha=name) for name in ("1", "2", "3")]
    stuck = min(each.digest for each in keys)

    class Stuck(Lake):
        def delete(self, relative_path: str) -> None:
            if stuck in relative_path:
                raise TransientDiffError("unavailable", "The disk is read-only.")
            super().delete(relative_path)

    for each in keys:
        write(Lake(str(lake)), each, measurement())
        index.used(each.digest, use_at(0.0))
    assert prune(Stuck(str(lake)), index, 100.0, NOW) == 2
    assert sizes(Lake(str(lake))).keys() == index.all().keys() == {stuck}
    assert [record.getMessage() for record in caplog.records] == [
        f"the measurement {stuck} of a base could not be deleted: The disk is read-only."
    ]
