"""The answer is yes where all ask, no where one does not, and the same for everyone whenever they ask."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from torch.distributed import HashStore  # type: ignore[attr-defined]

from producers.gradients.agreement import Store, all_ask

RANKS = 3


@pytest.fixture
def store() -> Store:
    return HashStore()


def answers(store: Store, *delays_seconds: float, timeout_seconds: float, question: str = "q") -> set[bool]:
    """Of ranks that ask so long after each other."""

    def ask(delay_seconds: float) -> bool:
        time.sleep(delay_seconds)
        return all_ask(store, question, RANKS, timeout_seconds=timeout_seconds)

    with ThreadPoolExecutor(RANKS) as ranks:
        return set(ranks.map(ask, delays_seconds))


def test_yes_where_all_ask(store: Store) -> None:
    assert answers(store, 0.0, 0.0, 0.2, timeout_seconds=60.0) == {True}


def test_no_where_one_does_not(store: Store) -> None:
    assert answers(store, 0.0, 0.0, timeout_seconds=0.1) == {False}


def test_no_for_one_that_asks_too_late(store: Store) -> None:
    assert answers(store, 0.0, 0.0, timeout_seconds=0.1) == {False}
    assert not all_ask(store, "q", RANKS, timeout_seconds=60.0)


@pytest.mark.parametrize("attempt", range(10))
def test_the_same_for_all_where_the_last_asks_as_the_others_give_up(store: Store, attempt: int) -> None:
    late_seconds = 0.06 + 0.004 * attempt
    assert len(answers(store, 0.0, 0.0, late_seconds, timeout_seconds=0.08)) == 1


def test_one_question_is_not_another(store: Store) -> None:
    assert answers(store, 0.0, 0.0, 0.0, timeout_seconds=60.0, question="one") == {True}
    assert answers(store, 0.0, 0.0, timeout_seconds=0.0, question="two") == {False}
