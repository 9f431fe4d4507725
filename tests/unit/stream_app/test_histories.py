import msgspec
import pytest
from msgspec.structs import replace

from stream_app.histories import ProjectHistory, Scored, ScoredRun, decode_history, encode_history, is_behind
from stream_app.versions import UnreadableRecord

HISTORY = ProjectHistory(
    runs=(ScoredRun(1.0, "a", 0, "0" * 16, ("1" * 16,), "ab" * 8, "cd" * 8, {"math": Scored(0.75, 100, 0.04)}),)
)


def test_what_is_stored_comes_back() -> None:
    assert decode_history(encode_history(HISTORY)) == HISTORY


def test_another_version_is_refused_with_the_remedy() -> None:
    with pytest.raises(UnreadableRecord, match=r"history of a project is of version 2, .* reads 1.*TOPIC_PREFIX"):
        decode_history(encode_history(ProjectHistory(version=2)))


@pytest.mark.parametrize("raw", [b"", b"rubbish", b"\x93\x01", encode_history(HISTORY)[:-1]])
def test_what_is_no_history_is_refused(raw: bytes) -> None:
    with pytest.raises(UnreadableRecord):
        decode_history(raw)


@pytest.mark.parametrize(("score", "points"), [(0.75, 7500), (0.7, 7000), (0.6999, 6999), (1.0, 10_000), (0.0, 0)])
def test_scores_are_compared_as_whole_numbers(score: float, points: int) -> None:
    assert Scored(score, 1, 0.0).basis_points == points


def test_a_history_that_fewer_diffs_changed_is_behind() -> None:
    raw, other = encode_history(HISTORY), encode_history(replace(HISTORY, revision=1))
    assert (is_behind(raw, other), is_behind(other, raw), is_behind(raw, raw)) == (True, False, False)
    assert not is_behind(b"rubbish", other)


def test_a_history_from_before_there_was_a_revision_is_read() -> None:
    assert decode_history(msgspec.msgpack.encode((1, HISTORY.runs))) == HISTORY
