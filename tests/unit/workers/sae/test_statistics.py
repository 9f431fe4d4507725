"""Sums, counts, maxima and FVU against what torch gives for everything at once."""

import pytest
import torch

from workers.sae.statistics import FeatureSums, TileSums, UnexplainedVariance, fused, reduce, reduce_reference

CPU = torch.device("cpu")


def sparse(tokens: int = 700, features: int = 33) -> torch.Tensor:
    return (torch.randn(tokens, features, generator=torch.Generator().manual_seed(3)) - 1).relu()


def test_tiles_add_up() -> None:
    features = sparse()
    sums = FeatureSums(features.shape[1], CPU)
    for tile in torch.split(features, 64):
        sums.add(tile)

    assert sums.tokens == 700
    torch.testing.assert_close(sums.sums, features.double().sum(dim=0), rtol=1e-6, atol=0)
    assert torch.equal(sums.counts, (features > 0).sum(dim=0))
    assert torch.equal(sums.maxima, features.amax(dim=0))


def test_sums_keep_their_digits_over_many_tokens() -> None:
    sums = FeatureSums(1, CPU)
    for _ in range(100):
        sums.add(torch.full((512, 1), 0.1))
    in_float32 = torch.zeros(())
    for _ in range(51_200):
        in_float32 += 0.1

    assert abs(float(sums.sums) / 5120 - 1) < 1e-6 < abs(float(in_float32) / 5120 - 1)


def test_fvu_is_that_of_all_tokens_at_once() -> None:
    x = torch.randn(300, 8, generator=torch.Generator().manual_seed(1)) + 20
    reconstruction = x + 0.3 * torch.randn(300, 8, generator=torch.Generator().manual_seed(2))
    fit = UnexplainedVariance(8, CPU)
    for some, theirs in zip(torch.split(x, 77), torch.split(reconstruction, 77), strict=True):
        fit.add(some, theirs)
    exact = x.double()
    expected = (exact - reconstruction).square().sum() / (exact - exact.mean(dim=0)).square().sum()

    assert fit.value() == pytest.approx(float(expected), rel=1e-9)


def test_fvu_of_the_mean_is_1_and_of_nothing_is_no_number() -> None:
    x = torch.randn(50, 4)
    fit = UnexplainedVariance(4, CPU)
    assert fit.value() != fit.value()
    fit.add(x, x.mean(dim=0).expand_as(x))

    assert fit.value() == pytest.approx(1, rel=1e-5)


def test_on_a_cpu_the_reference_reduces() -> None:
    features = sparse()

    for ours, reference in zip(reduce(features), reduce_reference(features), strict=True):
        assert torch.equal(ours, reference)


def test_where_nothing_compiles_the_reference_reduces(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def compiled(_features: torch.Tensor) -> TileSums:
        raise RuntimeError("Failed to find C compiler")

    monkeypatch.setattr(torch, "compile", lambda _function, dynamic: compiled)
    fused.cache_clear()

    assert fused(CPU) is reduce_reference
    assert "run unfused, as nothing can be compiled here: Failed to find C compiler" in caplog.text
    fused.cache_clear()


def test_what_compiles_reduces(monkeypatch: pytest.MonkeyPatch) -> None:
    def compiled(features: torch.Tensor) -> TileSums:
        return reduce_reference(features)

    monkeypatch.setattr(torch, "compile", lambda _function, dynamic: compiled)
    fused.cache_clear()

    assert fused(CPU) is compiled
    fused.cache_clear()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="the fused reduction runs on a GPU only")
@pytest.mark.parametrize("tokens", [1, 300, 512])
def test_on_a_gpu_the_fused_reduction_agrees(tokens: int) -> None:
    features = sparse(tokens, 16_384).cuda()
    ours, reference = reduce(features), reduce_reference(features)

    torch.testing.assert_close(ours.sums, reference.sums, rtol=1e-5, atol=1e-6)
    assert torch.equal(ours.counts, reference.counts)
    assert torch.equal(ours.maxima, reference.maxima)
