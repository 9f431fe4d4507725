"""Which patterns of an adapter are tried."""

import pytest

from workers.models.patterns import MAX_CHARACTERS, MAX_REPEATS, endless

ENDLESS = [
    r"(\w+\.?)+!",
    r"(a|a)*b",
    r"(?:[a-z]+_?)+$",
    r"((ab)?){40}x",
    ".*" * (MAX_REPEATS + 1),
    "q" * (MAX_CHARACTERS + 1),
]
HARMLESS = [
    "q_proj",
    "all-linear",
    r".*\.(q_proj|v_proj)",
    r"model\.layers\.[0-9]+\.self_attn\.(q|k|v|o)_proj",
    r".*?(?:language|text).*?(?:self_attn|mlp).*?(?:q_proj|k_proj).*?|(?:\bmodel\.layers\.[\d]{1,}\.(?:mlp))",
]


@pytest.mark.parametrize("pattern", ENDLESS)
def test_what_could_take_for_ever_is_refused(pattern: str) -> None:
    for fields in (
        {"target_modules": pattern},
        {"modules_to_save": ["lm_head", pattern]},
        {"rank_pattern": {pattern: 4}},
        {"a": [{"b": [{"c": pattern}]}]},
    ):
        assert endless(fields) == pattern


@pytest.mark.parametrize("pattern", HARMLESS)
def test_what_people_write_is_taken(pattern: str) -> None:
    assert endless({"target_modules": pattern, "alpha_pattern": {pattern: 8}, "r": 8, "bias": None}) is None


def test_the_name_of_the_base_is_no_pattern() -> None:
    assert endless({"base_model_name_or_path": "/runs/(a+b)+c"}) is None
