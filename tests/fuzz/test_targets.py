"""Each decoder on its whole corpus, in bounded memory, and on a few hundred inputs more, the same each time."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.bounded_memory import in_a_child
from tests.fuzz.mutations import STRANGE_JSON, inputs
from tests.fuzz.target import CORPUS, Target
from tests.fuzz.targets import TARGETS

MAX_BYTES = 256 << 20
EXAMPLES, SLOW_EXAMPLES = 100, 10


@pytest.mark.parametrize("name", TARGETS)
def test_what_nobody_would_send_is_refused_as_documented_and_takes_little_memory(name: str) -> None:
    target = TARGETS[name]
    seeds = target.seeds()
    assert in_a_child(_run_all, (target, seeds + ([] if target.is_slow else [*STRANGE_JSON]))) < MAX_BYTES

    @settings(
        max_examples=SLOW_EXAMPLES if target.is_slow else EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs(seeds) | st.binary(max_size=64))
    def nearly_right(raw: bytes) -> None:
        target.run(raw)

    nearly_right()


def test_every_folder_of_the_corpus_is_of_a_target() -> None:
    assert sorted(path.name for path in CORPUS.iterdir()) == sorted(TARGETS)


def _run_all(given: tuple[Target, list[bytes]]) -> None:
    target, raws = given
    for raw in raws:
        target.run(raw)
