"""Names that others choose become files, folders and pages; none leads out of the place that is meant for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from producers.codec import encode
from producers.events import RunCompleted, RunStarted, StepEvent
from producers.kafka import KafkaSettings
from producers.publisher import StepPublisher
from producers.topics import TopicSettings, topic_names
from streakline.redis_server import running_redis
from tests.commands import settings_environ, streakline
from tests.dashboard import Dashboard, running_dashboard
from tests.live_writing import LiveWriter, live_run
from tests.object_store import object_store
from tests.publishing import publish, publish_to
from tests.workload import Published
from workers.errors import DiffError
from workers.models.locations import find

NAMES = ("..", "../../../up", "/etc/absolute", ".hidden", "a/../../b", "//host/share", "-o", "compact-000001", "lock")
TOKEN = "0123456789abcdef0123456789abcdef"


def test_what_a_run_or_a_project_is_called_leads_nowhere_else(
    kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path, spool_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the spool, the archive, the report and the answer of a query."""
    deep = tmp_path / "a" / "b" / "c" / "d"
    lake, here = deep / "lake", deep / "here"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    for name in NAMES:
        events = (
            RunStarted(run_id=name, ts=1.0, project=name),
            *(StepEvent(run_id=name, step=step, ts=2.0, loss=1.0) for step in range(3)),
            RunCompleted(run_id=name, ts=3.0, steps=3, project=name),
        )
        records = [Published(name.encode(), encode(event)) for event in events]
        publish(kafka, topics, records)
        publish_to(kafka, topic_names(topics).runs, [records[0], records[-1]])
        with StepPublisher(run_id=name, project=name, close_timeout_seconds=0.0) as run:
            run.step(0, 1.0)
    environ = settings_environ(kafka, topics) | {"STREAKLINE_LAKE": str(lake)}
    assert streakline("archive", "--once", environ=environ).code == 0
    for name in NAMES:
        ended = streakline("report", "--", name, environ=environ)
        assert ended.code == 0, ended.err
    ended = streakline("query", "SELECT DISTINCT run_id FROM steps", "--format", "csv", environ=environ)
    assert set(ended.lines[1:]) == set(NAMES)
    assert len(list(here.iterdir())) == len(NAMES)
    places = {lake, here, spool_dir}
    strays = [path for path in tmp_path.rglob("*") if path.is_file() and not places & {*path.parents}]
    assert strays == []


def test_what_an_object_is_called_leads_out_of_no_cache(tmp_path: Path) -> None:
    """An object's key may hold any letters, and whoever writes to the bucket chooses it."""
    cache = tmp_path / "a" / "b" / "cache"
    good = {"models/good/layer/cfg.json": b"{}", "models/good/layer/sae.safetensors": b"x"}
    hostile = ("..//../../escaped.json", "../../../../escaped.json", "layer/../../../escaped.json")
    objects = good | {f"models/{number}/{key}": b"{}" for number, key in enumerate(hostile)}
    with object_store(objects) as access:
        roots = [f"s3://KEY:SECRET@bucket/models{access}"]
        here = find("s3://bucket/models/good", roots, "SAE", cache=cache)
        for number in range(len(hostile)):
            with pytest.raises(DiffError, match="has a name that leads out of its folder"):
                find(f"s3://bucket/models/{number}", roots, "SAE", cache=cache)
    brought = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
    assert brought == sorted(path.name for path in here.rglob("*") if path.is_file())
    assert brought == ["cfg.json", "sae.safetensors"]


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Dashboard]:
    """One that asks for a token, and knows a run."""
    with running_redis() as url, running_dashboard(url, tmp_path / "lake", "guarded.", token=TOKEN) as dashboard:
        LiveWriter(url, "guarded.").show(live_run("sft-3"))
        yield dashboard


def test_no_path_leads_around_the_token(guarded: Dashboard) -> None:
    """Some pages are for everyone: what begins as they do, and ends elsewhere, is not."""
    hidden = ("runs/sft-3", "events/runs", "runs/sft-3/report")
    for front in ("static", "login", "healthz", "static/x"):
        for step in ("..", "%2e%2e", "..%2f..", "%2e%2e%2f", ".%2e/..", "..;", "..\\..", "%5c..%5c", "/.."):
            for page in hidden:
                answer = guarded.ask(f"/{front}/{step}/{page}")
                assert answer.status in {401, 404}, (front, step, page)
                assert "sft-3" not in answer.text.replace(page, "")
    for page in hidden:
        for path in (f"//{page}", f"/./{page}", f"/%2f{page}", f"/{page}/", f"/{page.upper()}", f"http://x/{page}"):
            assert guarded.ask(path).status in {400, 401, 404}, path
