"""Batches hold every text once, and no more tokens than they may."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from workers.errors import TransientDiffError
from workers.models.batching import batches, pad
from workers.models.memory import transient_out_of_memory


@given(st.lists(st.integers(1, 50)), st.integers(1, 100))
def test_every_text_is_in_one_batch(lengths: list[int], max_tokens: int) -> None:
    made = batches(lengths, max_tokens)
    assert sorted(index for batch in made for index in batch) == list(range(len(lengths)))
    for batch in made:
        assert len(batch) == 1 or max(lengths[index] for index in batch) * len(batch) <= max_tokens


@pytest.mark.parametrize(("left", "expected"), [(False, [[1, 1, 1], [1, 0, 0]]), (True, [[1, 1, 1], [0, 0, 1]])])
def test_padding(left: bool, expected: list[list[int]]) -> None:
    padded = pad([[4, 5, 6], [7]], torch.device("cpu"), left=left)
    assert padded.mask.tolist() == expected
    assert padded.ids[padded.mask.bool()].tolist() == [4, 5, 6, 7]


def test_only_a_lack_of_memory_is_transient() -> None:
    with pytest.raises(RuntimeError, match="shapes"), transient_out_of_memory("testing"):
        raise RuntimeError("shapes do not match")
    with pytest.raises(TransientDiffError, match="ran out of memory testing"), transient_out_of_memory("testing"):
        raise MemoryError
