"""What has to be true of the running project. Each says what it saw, or fails."""

import json

from tests.containers.running import Running
from tests.worker import wait_until

RECORDINGS = "/opt/streakline/streakline/demo/recordings"
OURS = ("stream-1", "stream-2", "archive", "diff-cpu", "dashboard")
DIFF = """
from streakline import StepPublisher
with StepPublisher(run_id="small", project="check", base_model="{models}/base") as run:
    run.step(0, 1.0)
    run.complete(checkpoint="{models}/fine-tuned")
"""


def may_do_nothing_more(project: Running) -> str:
    """Each container of ours: its user, its capabilities, its file system."""
    for service in OURS:
        status = project.within(service, "cat", "/proc/1/status")
        fields = dict(line.split(":\t", 1) for line in status.splitlines())
        assert fields["Name"] == "tini", service
        assert fields["Uid"].split() == ["10001"] * 4, service
        assert int(fields["CapBnd"], 16) == int(fields["CapEff"], 16) == 0, service
        assert fields["NoNewPrivs"] == "1", service
        mounts = project.within(service, "cat", "/proc/1/mounts").splitlines()
        (root,) = (line.split() for line in mounts if line.split()[1] == "/")
        assert "ro" in root[3].split(","), service
    return f"{len(OURS)} containers run as 10001, without a capability, on a file system that is read-only"


def signals_are_those_of_detect(project: Running) -> str:
    """Of every recording that is shipped."""
    paths = project.within("stream-1", "find", RECORDINGS, "-name", "*.jsonl").split()
    told = project.within("stream-1", "streakline", "detect", *paths).splitlines()
    expected = {json.loads(line)["signal_id"] for line in told}
    assert expected
    project.within("stream-1", "streakline", "replay", *paths)

    def found() -> set[str]:
        lines = project.within("stream-1", "streakline", "signals", "--json").splitlines()
        return {json.loads(line)["signal_id"] for line in lines}

    wait_until(lambda: len(found()) >= len(expected))
    assert found() == expected
    return f"{len(expected)} signals, those that `detect` finds in the same {len(paths)} files"


def steps_are_in_the_lake(project: Running) -> str:
    """As the dashboard, which may only read, sees it; and there are some."""

    def count() -> int:
        answer = project.within("dashboard", "streakline", "query", "--format", "json", "SELECT count(*) n FROM steps")
        return int(json.loads(answer)[0]["n"])

    wait_until(lambda: count() > 0)
    return f"{count()} steps in the lake"


def a_run_gets_its_diff(project: Running) -> str:
    """From a publisher in a container to the diff worker's rows in the lake."""
    models = project.within("diff-cpu", "sh", "-c", "echo $STREAKLINE_MODEL_ROOTS").strip()
    project.within("stream-1", "env", "STREAKLINE_SPOOL_DIR=/tmp", "python", "-c", DIFF.format(models=models))

    def state() -> str:
        rows = map(json.loads, project.within("stream-1", "streakline", "runs", "--json").splitlines())
        return next(((row["diff"] or {}).get("state", "") for row in rows if row["run"] == "small"), "")

    wait_until(lambda: state() in {"done", "failed"}, timeout_seconds=120)
    assert state() == "done", state()
    return "a run that completed was compared with its base, on a CPU"


def prometheus_sees_all(project: Running) -> str:
    """Every target, and the Alertmanager."""

    def health() -> list[str]:
        _, targets = project.ask("prometheus", 9090, "/api/v1/targets")
        return [target["health"] for target in targets["data"]["activeTargets"]]

    wait_until(lambda: health() == ["up"] * 4)
    _, found = project.ask("prometheus", 9090, "/api/v1/alertmanagers")
    assert [each["url"] for each in found["data"]["activeAlertmanagers"]] == ["http://alertmanager:9093/api/v2/alerts"]
    return "Prometheus scrapes 4 workers and tells Alertmanager"


def the_dashboard_wants_its_token(project: Running) -> str:
    """And knows Redis and the lake."""
    token = (project.secrets / "dashboard_token").read_text()
    statuses = [project.ask("dashboard", 8800, "/", each)[0] for each in (None, "another-token-than-that", token)]
    assert statuses == [401, 401, 200], statuses
    wait_until(lambda: project.ask("dashboard", 8800, "/healthz")[1]["redis"] in {"ok", "empty"})
    return "the dashboard lets in whoever has the token, and reads Redis"


def compacting_is_a_command_away(project: Running) -> str:
    """As docs/deploy.md has it."""
    told = project.compose("--profile=cpu", "run", "--rm", "--no-deps", "--no-TTY", "diff-cpu", "compact")
    assert "deleted 0 measurements of bases" in told, told
    return f"compacting: {told.splitlines()[-2]}"


def a_worker_finds_its_volume_again(project: Running) -> str:
    """A container that is made anew has the tables of the one before."""

    def tables() -> set[str]:
        return set(project.within("stream-1", "find", "/var/lib/streakline/stream", "-name", "*.db").split())

    before = tables()
    assert before
    project.compose("up", "--detach", "--no-build", "--no-deps", "--force-recreate", "--wait", "stream-1")
    assert before <= tables()
    return "stream-1, made anew, has the tables that it had"


def sigterm_ends_them(project: Running) -> str:
    """With status 0."""
    ended = {service: project.stop(service) for service in OURS}
    assert {status for status, _ in ended.values()} == {0}, ended
    slowest = max(ended, key=lambda service: ended[service][1])
    return f"SIGTERM ends each with status 0; {slowest} took longest ({ended[slowest][1]:.1f} s)"


ALL = (
    may_do_nothing_more,
    prometheus_sees_all,
    the_dashboard_wants_its_token,
    signals_are_those_of_detect,
    a_run_gets_its_diff,
    steps_are_in_the_lake,
    compacting_is_a_command_away,
    a_worker_finds_its_volume_again,
    sigterm_ends_them,
)
