"""On several ranks the norms are those of the training in one piece, and no rank waits for one that is not there."""

import pytest

from tests.ranks import Outcome, Steps, run_ranks

RIGHT_ON_TWO = (
    "ddp",
    "fsdp2",
    "fsdp2_clipped",
    "fsdp2_fused",
    "fsdp2_measured",
    "fsdp2_two_optimizers",
    "fsdp2_two_steps_a_report",
    "tensor_parallel",
)
OTHERS_ON_TWO = (
    "any_of",
    "fsdp1",
    "partial",
    "fsdp2_overflowing_rank",
    "fsdp2_measured_on_one_rank",
    "fsdp2_failing_rank",
    "fsdp2_closed_on_one_rank",
    "fsdp2_watched_on_one_rank",
    "fsdp2_watched_too_late",
)
RIGHT_ON_FOUR = ("hsdp", "fsdp2_over_tensor_parallel")


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Outcome]]:
    return run_ranks(2, *RIGHT_ON_TWO, *OTHERS_ON_TWO, folder=tmp_path_factory.mktemp("two"))


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Outcome]]:
    return run_ranks(4, *RIGHT_ON_FOUR, folder=tmp_path_factory.mktemp("four"))


def assert_right(steps: Steps) -> None:
    for measured, expected in steps:
        assert measured is not None
        assert measured.max_grad == pytest.approx(expected.max_grad, rel=1e-5)
        assert measured.grad_norms == pytest.approx(expected.grad_norms, rel=1e-5)


def assert_silent(outcomes: list[dict[str, Outcome]], scenario: str) -> None:
    """Nothing is said anywhere, and ranks that do not publish have nothing."""
    assert [outcome[scenario].warnings for outcome in outcomes] == [[]] * len(outcomes)
    assert all(measured is None for outcome in outcomes[1:] for measured, _ in outcome[scenario].steps)


@pytest.mark.parametrize("scenario", RIGHT_ON_TWO)
def test_norms_on_two_ranks_are_those_of_one(two: list[dict[str, Outcome]], scenario: str) -> None:
    steps = two[0][scenario].steps
    assert len(steps) == 3
    assert_right(steps)
    assert_silent(two, scenario)


@pytest.mark.parametrize("scenario", RIGHT_ON_FOUR)
def test_norms_on_two_by_two_ranks_are_those_of_one(four: list[dict[str, Outcome]], scenario: str) -> None:
    steps = four[0][scenario].steps
    assert len(steps) == 3
    assert_right(steps)
    assert_silent(four, scenario)


def test_all_ranks_learn_of_one(two: list[dict[str, Outcome]]) -> None:
    assert_silent(two, "any_of")


def test_a_step_that_the_scaler_skips_is_skipped_on_all(two: list[dict[str, Outcome]]) -> None:
    before, skipped, after = two[0]["fsdp2_overflowing_rank"].steps
    assert skipped[0] is None
    assert_right([before, after])
    assert_silent(two, "fsdp2_overflowing_rank")


def test_one_rank_that_fails_costs_that_step_on_all_and_stops_nobody(two: list[dict[str, Outcome]]) -> None:
    before, failed, after = two[0]["fsdp2_failing_rank"].steps
    assert failed[0] is None
    assert_right([before, after])
    assert [outcome["fsdp2_failing_rank"].warnings for outcome in two] == [
        ["sharded gradients were not measured on every rank, so the step has no norms"],
        ["sharded gradients cannot be measured: RuntimeError: the device is away"],
    ]


def test_one_rank_that_closes_stops_nobody(two: list[dict[str, Outcome]]) -> None:
    first, *others = two[0]["fsdp2_closed_on_one_rank"].steps
    assert_right([first])
    assert [measured for measured, _ in others] == [None, None]


def test_measure_on_one_rank_only_is_noticed(two: list[dict[str, Outcome]]) -> None:
    outcome = two[0]["fsdp2_measured_on_one_rank"]
    assert [measured for measured, _ in outcome.steps] == [None, None, None]
    assert outcome.warnings == [
        "measure() was called on some ranks only, so the step has no norms: call it on all of them, or on none"
    ]


@pytest.mark.parametrize("scenario", ["fsdp2_watched_on_one_rank", "fsdp2_watched_too_late"])
def test_a_model_that_not_all_ranks_watch_is_not_measured(two: list[dict[str, Outcome]], scenario: str) -> None:
    watching = [outcome[scenario] for outcome in two if outcome[scenario].steps]
    assert len(watching) == (1 if scenario == "fsdp2_watched_on_one_rank" else 2)
    for outcome in watching:
        assert [measured for measured, _ in outcome.steps] == [None, None, None]
        (warning,) = outcome.warnings
        assert "call watch(model) on all ranks" in warning


def test_what_cannot_be_known_is_left_out_and_said(two: list[dict[str, Outcome]]) -> None:
    fsdp1, partial = two[0]["fsdp1"], two[0]["partial"]
    assert_right([*fsdp1.steps, *partial.steps])
    assert [warning.split(":")[0] for warning in fsdp1.warnings + partial.warnings] == [
        "gradients in FullyShardedDataParallel are not measured",
        "some gradients are neither sharded like their parameters nor replicated (Partial), and are not measured",
    ]
