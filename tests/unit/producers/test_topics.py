"""Names, settings and what is said of topics that are not as they have to be."""

import pytest

from producers.topics import TopicsError, TopicSettings, check_partitions, stream_app_id, topic_names, topic_specs


def test_names_have_the_prefix_and_the_changelog_is_faust_own() -> None:
    settings = TopicSettings(topic_prefix="team-a.")
    names = topic_names(settings)
    assert names.steps == "team-a.steps"
    assert names.dead_letters == "team-a.dead-letters"
    assert names.state_changelog == f"{stream_app_id(settings)}-runs-changelog"
    assert names.projects_changelog == f"{stream_app_id(settings)}-projects-changelog"


def test_nothing_is_left_to_the_brokers_defaults() -> None:
    specs = {spec.topic: spec for spec in topic_specs(TopicSettings(partitions=6, replication=3))}
    assert len(specs) == 7
    configs = {name: spec.config or {} for name, spec in specs.items()}
    assert {spec.num_partitions for spec in specs.values()} == {6}
    assert {spec.replication_factor for spec in specs.values()} == {3}
    for config in configs.values():
        assert {"cleanup.policy", "max.message.bytes", "min.insync.replicas"} <= config.keys()
        assert config["min.insync.replicas"] == "2"
        assert config["cleanup.policy"] == "compact" or "retention.ms" in config
    assert configs["streakline.stream-runs-changelog"]["cleanup.policy"] == "compact"
    assert configs["streakline.stream-projects-changelog"]["cleanup.policy"] == "compact"
    assert configs["streakline.steps"]["retention.ms"] == "604800000"  # seven days
    assert "retention.ms" not in configs["streakline.stream-runs-changelog"]


def test_another_number_of_partitions_is_one_sentence() -> None:
    with pytest.raises(TopicsError) as caught:
        check_partitions({"streakline.steps": 3, "other": 1}, TopicSettings(partitions=8))
    assert str(caught.value) == (
        "topic streakline.steps has 3 partitions and the settings say 8: set STREAKLINE_PARTITIONS=3, "
        "or make a new set of topics with another STREAKLINE_TOPIC_PREFIX"
    )


def test_topics_that_are_not_there_are_no_mismatch() -> None:
    check_partitions({"other": 1}, TopicSettings())
