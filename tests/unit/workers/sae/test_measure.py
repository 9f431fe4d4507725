"""One streaming pass gives what keeping every activation would."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.unit.workers.sae.small_saes import WIDTH, RandomModel, load, tensors, write_saelens
from workers.errors import DiffError
from workers.sae import measure
from workers.sae.encoder import Sae
from workers.sae.measure import LayerSums, measure_features

TEXTS = [" ".join(["word"] * length) for length in (5, 9, 1, 30, 2, 17, 12)]
REAL = sum(len(text.split()) - 1 for text in TEXTS)


@pytest.fixture
def saes(tmp_path: Path) -> list[Sae]:
    at_0 = {"metadata": {"hook_name": "blocks.0.hook_resid_post"}, "normalize_activations": "layer_norm"}
    return [
        load(write_saelens(tmp_path / "3")),
        load(write_saelens(tmp_path / "0", at_0, tensors(4))),
    ]


def ignore(_share: float) -> None:
    pass


def kept(model: RandomModel, sae: Sae) -> torch.Tensor:
    """Residuals of all real tokens, (tokens, width)."""
    return torch.cat([batch.residuals[sae.layer][batch.mask] for batch in model.batches(TEXTS, [sae.layer])])


@pytest.mark.parametrize("tile", [7, 512])
def test_streaming_gives_what_keeping_everything_gives(
    saes: list[Sae], tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "TOKENS_PER_TILE", tile)
    model = RandomModel()
    results = measure_features(model, saes, TEXTS, ignore)

    assert [result.layer for result in results] == [0, 3]
    for result, sae in zip(results, reversed(saes), strict=True):
        x = kept(model, sae)
        features = sae.encode(x)
        error = (x - sae.reconstruct(x, features, sae.read_decoder())).double().square().sum()
        assert result.tokens == len(x) == REAL
        assert (result.sae_sha, result.hook, result.n_features) == (sae.sha, sae.hook, sae.n_features)
        np.testing.assert_allclose(result.sums, features.double().sum(dim=0), rtol=1e-6)
        np.testing.assert_array_equal(result.counts, (features > 0).sum(dim=0))
        np.testing.assert_allclose(result.maxima, features.amax(dim=0), rtol=1e-6)
        assert [str(each.dtype) for each in (result.sums, result.counts, result.maxima)] == [
            "float64",
            "int64",
            "float32",
        ]
        assert result.fvu == pytest.approx(float(error / (x - x.mean(dim=0)).double().square().sum()), rel=1e-5)


def test_fvu_is_of_the_first_tokens(saes: list[Sae], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "FVU_TOKENS", 20)
    monkeypatch.setattr(measure, "TOKENS_PER_TILE", 7)
    model = RandomModel()
    first = measure_features(model, saes[:1], TEXTS, ignore)[0].fvu

    x = kept(model, saes[0])[:20]
    error = (x - saes[0].reconstruct(x, saes[0].encode(x), saes[0].read_decoder())).square().sum()
    assert first == pytest.approx(float(error / (x - x.mean(dim=0)).square().sum()), rel=1e-5)


def test_the_same_model_measures_the_same(saes: list[Sae]) -> None:
    def bits(results: list[LayerSums]) -> list[bytes]:
        return [each.sums.tobytes() + each.counts.tobytes() + each.maxima.tobytes() for each in results]

    once, again = (measure_features(RandomModel(), saes, TEXTS, ignore) for _ in range(2))
    assert bits(once) == bits(again)


def test_without_saes_the_model_does_not_run() -> None:
    assert measure_features(RandomModel(), [], TEXTS, lambda share: pytest.fail(f"{share}")) == []


def test_without_real_tokens_all_is_0(saes: list[Sae]) -> None:
    result = measure_features(RandomModel(), saes[:1], ["one"], ignore)[0]

    assert result.tokens == 0
    assert not result.sums.any()
    assert np.isnan(result.fvu)


def test_the_shares_that_are_done_are_passed_on(saes: list[Sae]) -> None:
    shares: list[float] = []
    measure_features(RandomModel(), saes, TEXTS, shares.append)

    assert shares == [1.0]


def test_activations_that_are_no_numbers_are_the_checkpoints_fault(saes: list[Sae]) -> None:
    with pytest.raises(DiffError, match="at layer 3 are not finite: look for NaN") as caught:
        measure_features(RandomModel(shift=float("nan")), saes[:1], TEXTS, ignore)
    assert caught.value.reason == "checkpoint_invalid"


def test_features_that_are_no_numbers_are_the_saes_fault(tmp_path: Path) -> None:
    sae = load(write_saelens(tmp_path, weights=tensors() | {"W_enc": torch.full((WIDTH, 40), 3e38)}))

    with pytest.raises(DiffError, match="SAE of layer 3 gives features that are not finite") as caught:
        measure_features(RandomModel(), [sae], TEXTS, ignore)
    assert caught.value.reason == "sae_invalid"


def test_two_saes_of_one_layer_are_refused(saes: list[Sae]) -> None:
    with pytest.raises(DiffError, match="Layer 3 has more than one SAE") as caught:
        measure_features(RandomModel(), [saes[0], saes[0]], TEXTS, ignore)
    assert caught.value.reason == "sae_mismatch"


def test_a_model_of_another_width_is_refused(saes: list[Sae]) -> None:
    with pytest.raises(DiffError, match="the model's is 13") as caught:
        measure_features(RandomModel(width=WIDTH + 1), saes[:1], TEXTS, ignore)
    assert caught.value.reason == "sae_mismatch"
