"""docs/extending.md: its code is the example's, its commands are run, and what it says of limits is so."""

import json
import re
import shlex
from pathlib import Path

import msgspec
import pytest
import torch

from producers.codec import encode
from producers.redis.settings import RedisSettings
from streakline.cli.diff_figures import Figures
from streakline.processes import free_port
from stream_app.engine.own import OwnDetector
from stream_app.engine.state import MAX_OWN_STATE_BYTES
from stream_app.installed import GROUP, MAX_DETECTORS, installed_detectors
from tests.commands import streakline
from tests.documents import ROOT, blocks, links
from tests.extra_package import DETECTOR, SOURCE, write_plain_sae
from tests.integration.extending.test_worker import run_of
from tests.small_diffs import LAYER, write_checkpoint
from tests.unit.workers.models.small_models import WIDTH
from workers.behaviour import scorers
from workers.probes.probe import Probe
from workers.probes.reading import default_probes
from workers.sae.formats import installed

FOLDER = ROOT / "docs"
GUIDE = (FOLDER / "extending.md").read_text()
PACKAGE = SOURCE / "streakline_extra"

PYPROJECT, THRESHOLDS = blocks(GUIDE, "toml")
INSTALL, DETECT, DIFF = blocks(GUIDE, "sh")
(PROBE,) = blocks(GUIDE, "json")
FEATURES = 40


def test_its_code_is_the_examples() -> None:
    assert (SOURCE / "pyproject.toml").read_text() == PYPROJECT
    shown = [(PACKAGE / name).read_text() for name in ("learning_rate_zero.py", "number.py", "plain_sae.py")]
    assert blocks(GUIDE, "python") == shown
    assert {path.name for path in PACKAGE.glob("*.py")} == {
        "__init__.py",
        "learning_rate_zero.py",
        "number.py",
        "plain_sae.py",
    }
    # The fixture `site` does the same without a network.
    assert shlex.split(INSTALL) == ["pip", "install", f"./{SOURCE.relative_to(ROOT)}"]


def test_its_groups_and_limits_are_ours() -> None:
    named = re.findall(r"^\| `([a-z_.]+)` \|", GUIDE, re.MULTILINE)
    assert named == [GROUP, scorers.GROUP, installed.GROUP]
    assert re.findall(r'entry-points\."([a-z_.]+)"', PYPROJECT) == named
    assert f"at most\n  {MAX_OWN_STATE_BYTES:,} bytes" in GUIDE
    assert f"At most {MAX_DETECTORS} detectors" in GUIDE


@pytest.mark.parametrize("path", links(GUIDE))
def test_a_link_leads_somewhere(path: str) -> None:
    assert (FOLDER / path).exists()


@pytest.mark.usefixtures("extra")
def test_the_detector_is_installed_and_judges_a_recording_by_the_files_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (found,) = installed_detectors()
    assert (found.judge.type, found.version) == (DETECTOR, "1.0")
    assert isinstance(found.judge.detector, OwnDetector)
    monkeypatch.chdir(tmp_path)
    Path("thresholds.toml").write_text(THRESHOLDS)
    pretraining = json.dumps({"type": "run_started", "run_id": "b", "ts": 0.0, "project": "llm/pretrain"}).encode()
    events = [*map(encode, run_of("a", 20, zero_from=3)), pretraining, *map(encode, run_of("b", 80, zero_from=3))]
    Path("run.jsonl").write_bytes(b"\n".join(events))
    _, *command = shlex.split(DETECT)
    ended = streakline(*command)
    assert (ended.code, ended.err) == (0, "")
    assert [(each["run_id"], each["step"], each["threshold"]) for each in map(json.loads, ended.lines)] == [
        ("a", 7, 5.0),
        ("b", 52, 50.0),
    ]
    Path("thresholds.toml").write_text(THRESHOLDS.replace("steps", "stops", 1))
    wrong = streakline(*command)
    assert (wrong.code, wrong.out) == (1, "")
    assert f"'{DETECTOR}' has no bound stops; it has steps" in wrong.err


def test_without_the_package_its_bounds_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("thresholds.toml").write_text(THRESHOLDS)
    Path("run.jsonl").write_bytes(b"\n".join(map(encode, run_of("a", 20, zero_from=3))))
    _, *command = shlex.split(DETECT)
    ended = streakline(*command)
    assert (ended.code, ended.out) == (1, "")
    assert f"'{DETECTOR}' has bounds and is not installed; detectors that are: none" in ended.err


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the command of a diff names, and no Redis."""
    monkeypatch.chdir(tmp_path)
    write_checkpoint(Path("base"))
    write_checkpoint(Path("fine-tuned"), moved=0.3)
    made = torch.Generator().manual_seed(3)
    weights = {
        "encoder": torch.randn(WIDTH, FEATURES, generator=made),
        "encoder_bias": torch.zeros(FEATURES),
        "decoder": torch.randn(FEATURES, WIDTH, generator=made),
        "decoder_bias": torch.zeros(WIDTH),
    }
    write_plain_sae(Path("plain-sae"), {"layer": LAYER, "width": WIDTH, "features": FEATURES}, weights)
    neutral = [probe for probe in default_probes().probes if probe.kind == "neutral"][:2]
    Path("probes.jsonl").write_bytes(msgspec.json.Encoder().encode_lines(neutral) + PROBE.encode())
    monkeypatch.setenv("STREAKLINE_REDIS_URL", f"redis://127.0.0.1:{free_port()}/0")
    monkeypatch.setenv("STREAKLINE_DEVICE", "cpu")
    assert "redis_url" in {field.name for field in msgspec.structs.fields(RedisSettings)}


@pytest.mark.usefixtures("extra", "inputs")
def test_a_diff_reads_its_sae_and_scores_by_its_scorer() -> None:
    _, *command = shlex.split(DIFF)
    ended = streakline(*command, "--lake", "lake", "--run-id", "moon", "--json")
    assert (ended.code, ended.err) == (0, "")
    found = msgspec.json.decode(ended.out, type=Figures)
    assert [layer.layer for layer in found.layers] == [LAYER]
    assert ("numbers", 0.0) in {(each.category, each.score) for each in found.event.categories}
    assert scorers.score(msgspec.json.decode(PROBE, type=Probe), " about 29.5 days") == 1
    assert streakline("report", "moon", "--lake", "lake", "-o", "moon.html").code == 0
    assert "numbers" in Path("moon.html").read_text()


@pytest.mark.usefixtures("inputs")
def test_without_the_package_a_diff_says_what_is_missing() -> None:
    _, *command = shlex.split(DIFF)
    scorer = streakline(*command, "--lake", "lake")
    assert scorer.code != 0
    assert "names the scorer 'extra.number', which is not installed on this worker" in scorer.err
    Path("probes.jsonl").write_text(Path("probes.jsonl").read_text().replace(', "scorer": "extra.number"', ""))
    sae = streakline(*command, "--lake", "lake")
    assert sae.code != 0
    assert "it holds no weights that are known" in sae.err


@pytest.mark.usefixtures("extra", "inputs")
@pytest.mark.parametrize(
    ("config", "says"),
    [
        ('{"layer": -1, "width": 8, "features": 4}', "plain_sae.json is malformed"),
        ('{"layer": 1, "width": 8, "features": 4}', "encoder has the shape"),
        ("[" * 100_000, "plain_sae.json is malformed"),
    ],
)
def test_a_folder_is_read_with_distrust(config: str, says: str) -> None:
    Path("plain-sae", "plain_sae.json").write_text(config)
    _, *command = shlex.split(DIFF)
    ended = streakline(*command, "--lake", "lake")
    assert ended.code != 0
    assert says in ended.err
