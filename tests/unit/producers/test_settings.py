"""Settings come from the environment, and a wrong one is named."""

from typing import Annotated, Literal

import pytest
from msgspec import Meta, Struct

from producers.kafka import KafkaSettings
from producers.settings import SettingsError, load_settings, to_environ
from producers.topics import TopicSettings
from stream_app.settings import StreamSettings


class Settings(Struct, frozen=True):
    count: Annotated[int, Meta(ge=1)] = 3
    kind: Literal["a", "b"] = "a"
    path: str | None = None


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
