import pytest

from producers.imports.names import MAX_NAME_LENGTH, meaning, step_rank, time_rank


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("train/loss", "loss"),  # Trainer
        ("loss", "loss"),
        ("Loss/train", "loss"),
        ("train_loss_step", "loss"),  # Lightning
        ("lm loss", "loss"),  # Megatron-LM
        ("loss_metrics/global_avg_loss", "loss"),  # torchtitan
        ("train/CrossEntropyLoss", "loss"),  # OLMo
        ("loss/train/total", "loss"),  # Composer
        ("train/grad_norm", "total_norm"),
        ("grad-norm", "total_norm"),
        ("optim/total_grad_norm", "total_norm"),
        ("grad_2.0_norm_total", "total_norm"),
        ("l2_norm/grad/global", "total_norm"),
        ("grad_norm/total", "total_norm"),
        ("maxGrad", "max_grad"),
        ("grad_norm/max", "max_grad"),
        ("learning-rate", "learning_rate"),
        ("lr-AdamW/pg1", "learning_rate"),
        ("optim/learning_rate_group0", "learning_rate"),
        ("train/epoch", "epoch"),
    ],
)
def test_what_trainers_call_their_curves(name: str, field: str) -> None:
    found = meaning(name)
    assert found is not None
    assert found.field == field


@pytest.mark.parametrize(
    "name",
    [
        *("eval/loss", "val_loss", "test_loss", "train/loss_epoch", "aux_loss", "max_grad_norm", "grad_norm/clipped"),
        *("gradients/", "grad_norm/a\x1b", "grad_norm/\ud800", "grad_norm/" + "x" * MAX_NAME_LENGTH, "lr_decay", ""),
    ],
)
def test_what_is_something_else(name: str) -> None:
    assert meaning(name) is None


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("gradients/h.0.attn.c_attn.weight", "h.0.attn.c_attn.weight"),  # wandb.watch
        ("train/grad_norm/Layer.0", "Layer.0"),
        ("gradNorms.h.0", "h.0"),
        ("grad_2.0_norm/layer.weight", "layer.weight"),  # Lightning
        ("l2_norm/grad/model.h.0", "model.h.0"),  # Composer
    ],
)
def test_layers_are_called_as_the_trainer_calls_them(name: str, layer: str) -> None:
    found = meaning(name)
    assert found is not None
    assert (found.field, found.layer) == ("layer", layer)


def test_a_trainers_own_count_is_better_than_that_of_the_logger() -> None:
    trainers, plain, loggers = (step_rank(name) for name in ("train/global_step", "Step", "_step"))
    assert trainers is not None
    assert plain is not None
    assert loggers is not None
    assert trainers < plain < loggers
    assert step_rank("epoch") is None
    assert time_rank("Wall time") is not None
    assert time_rank("_runtime") is None
