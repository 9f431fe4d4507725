"""What the user of the settings may do with the topics, where the broker says so. Pure."""

from collections.abc import Iterator, Mapping, Set

from confluent_kafka.admin import AclOperation

from producers.topics import Topics
from streakline.doctor.findings import Finding, ok, warning

_SUBJECT = "permissions"

Granted = Mapping[str, Set[AclOperation] | None]
"""topic → what is granted; None where the broker does not say"""


def judge_permissions(granted: Granted, names: Topics) -> Iterator[Finding]:
    """Which programs may run with these settings, and what the others lack."""
    if not granted or any(operations is None for operations in granted.values()):
        yield ok(_SUBJECT, "the broker does not say what its users may do")
        return
    found = []
    for program, reads, writes in _programs(names):
        lacking = [f"READ of {topic}" for topic in reads if not _may(granted, topic, AclOperation.READ)]
        lacking += [f"WRITE to {topic}" for topic in writes if not _may(granted, topic, AclOperation.WRITE)]
        if lacking:
            remedy = "grant it where such a program is to run with these settings"
            found.append(warning(_SUBJECT, f"not enough for {program}: {', '.join(lacking)}", remedy))
    yield from found or [ok(_SUBJECT, "this user may read and write every topic")]


def _programs(names: Topics) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """Each with the topics that it reads, and those that it writes."""
    tables = names.state_changelog, names.projects_changelog
    return [
        ("trainers", (names.signals,), (names.steps, names.runs)),
        ("a stream worker", (names.steps, names.diffs, *tables), (names.signals, names.dead_letters, *tables)),
        ("a diff worker", (names.runs, names.diffs), (names.diffs, names.dead_letters)),
        ("an archiver", (names.steps, names.runs, names.signals), ()),
    ]


def _may(granted: Granted, topic: str, operation: AclOperation) -> bool:
    operations = granted.get(topic) or set()
    return operation in operations or AclOperation.ALL in operations
