"""What Prometheus and Alertmanager are started with."""

import contextlib
import tomllib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from streakline.alerting import Alerting, AlertingError, AlertingSettings, find_binaries, shipped
from tests.documents import ROOT

ANY_PORTS = AlertingSettings(prometheus_port=0, alertmanager_port=0, receiver_port=0)
TARGETS = {"stream": ["127.0.0.1:1", "127.0.0.1:2"], "diff": ["127.0.0.1:3"], "archive": ["127.0.0.1:4"]}
DASHBOARD = "http://127.0.0.1:8800/"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which programs are found."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def install(folder: Path, *names: str) -> None:
    for name in names:
        program = folder / name
        program.touch()
        program.chmod(0o755)


@pytest.mark.parametrize("name", ["prometheus-alertmanager", "alertmanager"])
def test_alertmanager_has_two_names(name: str, programs: Path) -> None:
    install(programs, "prometheus", name)
    assert find_binaries() == (str(programs / "prometheus"), str(programs / name))


@pytest.mark.parametrize(("there", "missing"), [("prometheus", "alertmanager"), ("alertmanager", "prometheus")])
def test_one_without_the_other_is_one_sentence(there: str, missing: str, programs: Path) -> None:
    install(programs, there)
    with pytest.raises(AlertingError, match=f"^{missing} is not installed: apt-get install prometheus prometheus-al"):
        Alerting(ANY_PORTS)


@pytest.fixture
def opened(programs: Path) -> Iterator[Alerting]:
    install(programs, "prometheus", "alertmanager")
    with contextlib.closing(Alerting(ANY_PORTS)) as opened:
        yield opened


def test_the_files_are_those_of_the_repository_but_for_the_addresses(opened: Alerting, tmp_path: Path) -> None:
    opened.configure(tmp_path, tmp_path / "data", TARGETS, DASHBOARD)
    moved = {
        Path("alertmanager/alertmanager.yml"): (b"127.0.0.1:9095", f"127.0.0.1:{opened.receiver.port}".encode()),
    }
    everything = {**TARGETS, "alertmanager": [opened.alertmanager_url.removeprefix("http://")]}
    targets = {Path(f"prometheus/targets/{name}.json"): addresses for name, addresses in everything.items()}
    for server in ("prometheus", "alertmanager"):
        sources = [path for path in shipped(f"deploy/{server}").rglob("*") if path.is_file()]
        assert sources
        for source in sources:
            path = source.relative_to(ROOT / "deploy")
            expected = source.read_bytes().replace(*moved.get(path, (b"", b"")))
            assert path in targets or (tmp_path / path).read_bytes() == expected, path
    for path, addresses in targets.items():
        assert msgspec.json.decode((tmp_path / path).read_bytes()) == [{"targets": addresses}]


def test_what_an_earlier_version_left_behind_is_gone(opened: Alerting, tmp_path: Path) -> None:
    stale = tmp_path / "prometheus" / "rules" / "stale.yml"
    stale.parent.mkdir(parents=True)
    stale.touch()
    opened.configure(tmp_path, tmp_path / "data", TARGETS, DASHBOARD)
    assert not stale.exists()


def test_links_lead_where_the_environment_says(
    opened: Alerting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, prometheus = opened.configure(tmp_path, tmp_path / "data", TARGETS, DASHBOARD)
    assert prometheus.environ["STREAKLINE_DASHBOARD_URL"] == "http://127.0.0.1:8800"
    assert prometheus.environ["STREAKLINE_RUNBOOK_URL"].endswith("/docs/runbook.md")
    monkeypatch.setenv("STREAKLINE_DASHBOARD_URL", "https://runs.example")
    _, prometheus = opened.configure(tmp_path, tmp_path / "data", TARGETS, DASHBOARD)
    assert prometheus.environ["STREAKLINE_DASHBOARD_URL"] == "https://runs.example"


def test_a_wheel_holds_every_file_that_is_needed() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    included: dict[str, str] = build["force-include"]
    assert {*included.values()} == {f"streakline/{source}" for source in included}
    for server in ("prometheus", "alertmanager"):
        for path in (ROOT / "deploy" / server).rglob("*"):
            name = path.relative_to(ROOT)
            is_included = any(name.is_relative_to(source) for source in included)
            assert is_included or path.is_dir() or "tests" in name.parts, name
