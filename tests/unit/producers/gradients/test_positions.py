"""A tensor is found by identity for as long as somebody holds it, and no other is taken for it afterwards."""

import gc

import torch

from producers.gradients.positions import Positions


def test_each_is_found_with_its_number_and_others_are_not() -> None:
    one, two, other = torch.ones(2), torch.ones(2), torch.ones(2)
    positions = Positions([(3, one), (5, two)])
    assert [number for number, _ in positions.among([two, other, one, one])] == [5, 3, 3]
    assert all(found is tensor for (_, found), tensor in zip(positions, [one, two], strict=True))
    assert len(positions) == 2


def test_what_is_gone_is_forgotten() -> None:
    held = torch.ones(2)
    positions = Positions([(0, torch.ones(2)), (1, held)])
    gc.collect()
    assert len(positions) == 1
    assert [number for number, _ in positions] == [1]
    # Among so many new ones is one that has got the number of the one that is gone.
    assert positions.among([torch.ones(2) for _ in range(100)]) == []


def test_a_parameter_that_only_the_graph_holds_is_still_there() -> None:
    parameter = torch.nn.Parameter(torch.ones(2))
    positions = Positions([(0, parameter)])
    loss = (parameter * 2).sum()
    del parameter
    gc.collect()
    assert len(positions) == 1
    ((_, again),) = positions
    loss.backward()  # type: ignore[no-untyped-call]
    assert again.grad is not None
    assert positions.among([again]) == [(0, again)]
