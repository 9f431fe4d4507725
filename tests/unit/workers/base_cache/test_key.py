from typing import Any

import pytest

from tests.unit.workers.base_cache.measurements import key


def test_the_digest_is_pinned() -> None:
    """Whatever changes it forgets every measurement that was kept."""
    assert key().digest == key().digest == "6002b546355cc57ab4c80f3b7b4a44f5"


@pytest.mark.parametrize(
    "change",
    [
        {"base_sha": "ab"},
        {"tokenizer_sha": "ab"},
        {"probes_sha": "ab"},
        {"sae_shas": ("ee", "dd")},
        {"sae_shas": ("ddee",)},
        {"sae_shas": ()},
        {"dtype": "bfloat16"},
        {"device": "NVIDIA H200"},
        {"tokens_per_batch": 4097},
        {"code_version": "0.1.1"},
    ],
)
def test_another_way_to_measure_is_another_measurement(change: dict[str, Any]) -> None:
    assert key(**change).digest != key().digest
