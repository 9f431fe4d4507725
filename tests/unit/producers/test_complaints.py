"""Each sentence is said once."""

import logging

import pytest

from producers.complaints import Complaints


def test_each_sentence_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    complaints = Complaints()
    for sentence in ("50 %s of it", "another", "50 %s of it"):
        complaints.say(sentence)
    Complaints().say("another")
    assert caplog.record_tuples == [
        ("streakline", logging.WARNING, sentence) for sentence in ("50 %s of it", "another", "another")
    ]
