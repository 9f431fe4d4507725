"""One case, played on a broker of its own."""

import tempfile
import time
import traceback
from pathlib import Path

from producers.kafka import KafkaSettings
from producers.topics import TopicSettings, ensure_topics
from streakline.broker import running_broker
from tests.faults.cases import Case, Place
from tests.faults.matrix import run
from tests.faults.table import Played

_PARTITIONS = 4


def play(case: Case) -> tuple[Played | None, float]:
    """What came of it, None where it could not be played to its end, and how many seconds it took."""
    began = time.monotonic()
    return _result(case), time.monotonic() - began


def _result(case: Case) -> Played | None:
    folder = Path(tempfile.mkdtemp(prefix="streakline-faults-"))
    try:
        with running_broker() as bootstrap:
            kafka, topics = KafkaSettings(kafka_bootstrap=bootstrap), TopicSettings(partitions=_PARTITIONS)
            ensure_topics(kafka, topics)
            return Played(case, run(case, Place(kafka, topics, folder)))
    except Exception:
        traceback.print_exc()
        return None
