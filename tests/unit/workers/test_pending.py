"""Which record is next, and how far a partition may be committed."""

from hypothesis import given
from hypothesis import strategies as st

from workers.jobs import DiffJob
from workers.pending import Entry, Pending


def entry(partition: int, offset: int, *, at: float = 0.0, job: bool = True) -> Entry:
    asked = DiffJob(run_id="r", project="p", base_model="b", checkpoint="c", completed_at=0.0) if job else None
    return Entry(partition=partition, offset=offset, published_at=at, key=None, value=None, job=asked)


def test_the_oldest_of_the_partitions_firsts_is_next() -> None:
    pending = Pending()
    late, early, behind = entry(0, 0, at=5.0), entry(1, 7, at=3.0), entry(0, 1, at=1.0)
    for each in (late, early, behind):
        pending.add(each)
    assert pending.next(0.0) is early
    early.not_before = 10.0
    assert pending.next(9.0) is late
    assert pending.next(10.0) is early
    assert pending.jobs == 3


def test_what_asks_for_nothing_is_committed_at_once_but_never_past_a_job() -> None:
    pending = Pending()
    job = entry(0, 3)
    for each in (entry(0, 1, job=False), entry(0, 2, job=False), job, entry(0, 4, job=False)):
        pending.add(each)
    assert pending.committable() == {0: 3}
    assert pending.committable() == {}
    job.is_done = True
    assert pending.committable() == {0: 5}
    assert pending.size(0) == 0


def test_a_partition_that_was_taken_away_is_forgotten() -> None:
    pending = Pending()
    gone = entry(0, 0)
    pending.add(gone)
    pending.drop([0, 1])
    gone.is_done = True
    assert pending.committable() == {}
    assert pending.next(0.0) is None


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=30))
def test_a_commit_never_passes_what_is_not_done(records: list[tuple[bool, bool]]) -> None:
    pending = Pending()
    for offset, (is_job, is_done) in enumerate(records):
        each = entry(0, offset, job=is_job)
        each.is_done = is_done
        pending.add(each)
    unfinished = [offset for offset, (is_job, is_done) in enumerate(records) if is_job and not is_done]
    expected = min(unfinished, default=len(records))
    assert pending.committable() == ({0: expected} if expected else {})
