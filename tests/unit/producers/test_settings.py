"""Settings come from the environment, and a wrong one is named."""

from pathlib import Path
from typing import Annotated, Literal

import pytest
from msgspec import Meta, Struct

from producers.kafka import KafkaSettings
from producers.redis.settings import NamedRedis, RedisSettings
from producers.settings import LONGEST_SECRET_BYTES, Secret, SettingsError, load_settings, to_environ
from producers.topics import TopicSettings
from streakline.dashboard.settings import DashboardSettings
from stream_app.settings import StreamSettings
from workers.settings import DiffWorkerSettings


class Settings(Struct, frozen=True):
    count: Annotated[int, Meta(ge=1)] = 3
    kind: Literal["a", "b"] = "a"
    path: str | None = None
    seconds: float = 1.0


def test_an_unset_or_empty_variable_leaves_the_default() -> None:
    assert load_settings(Settings, {"STREAKLINE_COUNT": "", "OTHER": "x"}) == Settings()


def test_variables_are_converted() -> None:
    assert load_settings(Settings, {"STREAKLINE_COUNT": "7", "STREAKLINE_KIND": "b"}) == Settings(7, "b")


@pytest.mark.parametrize(
    ("variable", "value", "complaint"),
    [
        ("STREAKLINE_COUNT", "many", "STREAKLINE_COUNT: Expected `int`, got `str`"),
        ("STREAKLINE_COUNT", "0", "STREAKLINE_COUNT: Expected `int` >= 1"),
        ("STREAKLINE_KIND", "c", "STREAKLINE_KIND: Invalid enum value 'c'"),
        ("STREAKLINE_PATH", "\udcff", "STREAKLINE_PATH: Expected UTF-8"),
        ("STREAKLINE_SECONDS", "inf", "STREAKLINE_SECONDS: Expected a finite number"),
        ("STREAKLINE_SECONDS", "nan", "STREAKLINE_SECONDS: Expected a finite number"),
    ],
)
def test_a_wrong_variable_is_named(variable: str, value: str, complaint: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(Settings, {variable: value})
    assert str(caught.value) == complaint


def test_settings_that_do_not_go_together_say_so() -> None:
    with pytest.raises(SettingsError, match="set STREAKLINE_KAFKA_SASL_USERNAME"):
        load_settings(KafkaSettings, {"STREAKLINE_KAFKA_SECURITY_PROTOCOL": "SASL_SSL"})


@pytest.mark.parametrize(
    "settings",
    [
        KafkaSettings(kafka_bootstrap="a:1,b:2", kafka_ssl_ca="/ca.pem", kafka_compression="lz4"),
        TopicSettings(topic_prefix="team.", partitions=3),
        StreamSettings(data_dir="/data", metrics_port=9464, finished_run_seconds=1.5),
    ],
)
def test_a_process_can_be_given_the_settings_of_another(settings: Struct) -> None:
    assert load_settings(type(settings), to_environ(settings)) == settings


class Guarded(Struct, frozen=True):
    word: Secret | None = None
    path: str | None = None


def in_file(folder: Path, held: bytes) -> dict[str, str]:
    path = folder / "word"
    path.write_bytes(held)
    return {"STREAKLINE_WORD_FILE": str(path)}


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_a_secret_may_be_in_a_file(end: bytes, tmp_path: Path) -> None:
    environ = in_file(tmp_path, " a wörd ".encode() + end)
    assert load_settings(Guarded, environ).word == " a wörd "
    assert load_settings(Guarded, environ | {"STREAKLINE_WORD": ""}).word == " a wörd "
    assert load_settings(Guarded, environ | {"STREAKLINE_WORD": "mine"}).word == "mine"


def test_what_is_no_secret_is_in_no_file(tmp_path: Path) -> None:
    assert load_settings(Guarded, {"STREAKLINE_PATH_FILE": str(tmp_path)}).path is None


@pytest.mark.parametrize(
    ("held", "complaint"),
    [
        (b"\n", "is empty"),
        (b"w\xff", "is not UTF-8"),
        (b"w" * (LONGEST_SECRET_BYTES + 1), "is longer than 65536 bytes, which no secret is"),
    ],
)
def test_a_file_that_holds_no_secret_is_named_and_not_shown(held: bytes, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(Guarded, in_file(tmp_path, held))
    assert str(caught.value) == f"STREAKLINE_WORD_FILE: '{tmp_path}/word' {complaint}"


@pytest.mark.parametrize(
    ("path", "reason"), [("nowhere", "No such file or directory"), (".", "Is a directory"), ("a\0b", "null byte")]
)
def test_a_file_that_cannot_be_read_is_named(path: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=rf"STREAKLINE_WORD_FILE: .* cannot be read \(.*{reason}\)"):
        load_settings(Guarded, {"STREAKLINE_WORD_FILE": path})


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        (KafkaSettings, "kafka_sasl_password"),
        (RedisSettings, "redis_url"),
        (NamedRedis, "redis_url"),
        (StreamSettings, "redis_url"),
        (DiffWorkerSettings, "redis_url"),
        (DashboardSettings, "redis_url"),
        (DashboardSettings, "dashboard_token"),
    ],
)
def test_every_secret_of_ours_may_be(kind: type[Struct], field: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from-a-file")
    settings = load_settings(kind, {f"STREAKLINE_{field.upper()}_FILE": str(tmp_path / "secret")})
    assert getattr(settings, field) == "from-a-file"
