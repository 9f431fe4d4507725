"""Sharded over one rank, a model is watched as one that is not sharded."""

from collections.abc import Iterator

import pytest
import torch
from torch import distributed, nn

from producers.gradients.norms import GradientNorms, Measured
from tests.unit.producers.gradients.watched_models import Watch, backward, loss_of, new_model, sgd


@pytest.fixture
def alone() -> Iterator[None]:
    """A process group of one."""
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)  # type: ignore[attr-defined]
    yield
    if distributed.is_initialized():
        distributed.destroy_process_group()


@pytest.mark.usefixtures("alone")
def test_sharded_over_one_rank(watch: Watch) -> None:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    model, whole = new_model(), new_model()
    fully_shard(model, mesh=init_device_mesh("cpu", (1,)))
    seen, optimizer = watch(model), sgd(model)
    for factor in (1.0, 2.0):
        optimizer.zero_grad()
        whole.zero_grad()
        loss_of(model, factor).backward()  # type: ignore[no-untyped-call]
        expected = backward(whole, factor)
        optimizer.step()
        whole.load_state_dict({name: value.full_tensor() for name, value in model.state_dict().items()})
        measured = seen.take()
        assert measured is not None
        assert measured.max_grad == pytest.approx(expected.max_grad, rel=1e-5)
        assert measured.grad_norms == pytest.approx(expected.grad_norms, rel=1e-5)
    with pytest.raises(TypeError, match=r"0\.weight is sharded over processes"):
        GradientNorms(model)


@pytest.mark.usefixtures("alone")
def test_copies_on_every_rank_need_no_other_rank(watch: Watch) -> None:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import distribute_module, distribute_tensor

    mesh = init_device_mesh("cpu", (1,))
    model = distribute_module(nn.Linear(3, 1, bias=False), mesh)
    seen = watch(model)
    model.weight.grad = distribute_tensor(torch.tensor([[2.0, 3.0, 6.0]]), mesh)
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    assert seen.take() == Measured(7.0, {"weight": 7.0})


@pytest.mark.usefixtures("alone")
def test_sharded_parameters_of_a_group_that_is_gone(watch: Watch, caplog: pytest.LogCaptureFixture) -> None:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    model = new_model()
    fully_shard(model, mesh=init_device_mesh("cpu", (1,)))
    distributed.destroy_process_group()
    seen = watch(model)
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    assert seen.take() is None
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("gradients cannot be measured: ")
