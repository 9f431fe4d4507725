"""Every family, against the plain forward of one text at a time."""

import random
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GenerationConfig

from tests.unit.workers.models.small_models import (
    CONTEXT,
    FAMILIES,
    LAYERS,
    VOCABULARY,
    WIDTH,
    reference,
    tokenizer,
    write,
)
from workers.errors import DiffError, TransientDiffError
from workers.models.checkpoint import inspect
from workers.models.decoder import decoder_layers
from workers.models.language_model import LanguageModel, Question, ResidualBatch
from workers.models.loading import load, pick_device
from workers.models.transformers_model import TransformersModel

CPU = torch.device("cpu")
PROMPTS = ["The capital of France is", "Hm", "one two three four five six", "Why?", "é ü 中", "a" * 30]


def ids_of(text: str, *, begin: bool = True) -> list[int]:
    return ([256] if begin else []) + list(tokenizer(adds_bos=False)(text)["input_ids"])


def ask(folder: Path, tokens: int = 64) -> TransformersModel:
    checkpoint = inspect(folder)
    return load(checkpoint, checkpoint, device=CPU, dtype="float32", tokens_per_batch=tokens)


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def folder_of(family: str) -> Path:
        if family not in made:
            made[family] = write(tmp_path_factory.mktemp(family), family)
        return made[family]

    return folder_of


@pytest.fixture(params=FAMILIES)
def pair(request: pytest.FixtureRequest, folder_of: Callable[[str], Path]) -> tuple[TransformersModel, Any]:
    folder = folder_of(request.param)
    return ask(folder), reference(folder)


@pytest.fixture
def llama(folder_of: Callable[[str], Path]) -> Path:
    return folder_of("llama")


def layers_of(ours: TransformersModel) -> Any:
    return decoder_layers(ours._model)


def settings(**fields: object) -> Any:
    made: Any = GenerationConfig
    return made(**fields)


@torch.no_grad()
def plain(model: Any, ids: list[int]) -> torch.Tensor:
    log_probs: torch.Tensor = model(input_ids=torch.tensor([ids])).logits[0].float().log_softmax(-1)
    return log_probs


def test_next_token_is_that_of_the_plain_forward(pair: tuple[TransformersModel, Any]) -> None:
    ours, plain_model = pair
    got = ours.next_token_log_probs(PROMPTS)
    assert got.shape == (len(PROMPTS), VOCABULARY)
    assert got.dtype == torch.float32
    for row, prompt in zip(got, PROMPTS, strict=True):
        torch.testing.assert_close(row, plain(plain_model, ids_of(prompt))[-1], atol=1e-5, rtol=0)


def test_answers_are_those_of_the_plain_forward(pair: tuple[TransformersModel, Any]) -> None:
    ours, plain_model = pair
    questions = [
        Question(prompt, answer) for prompt, answer in zip(PROMPTS, [" Paris", "", " x", "b", "!?", "aa"], strict=True)
    ]
    shares: list[float] = []
    got = ours.answer_log_probs(questions, shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1
    for scores, question in zip(got, questions, strict=True):
        prompt, answer = ids_of(question.prompt), ids_of(question.answer, begin=False)
        full = plain(plain_model, prompt + answer)
        expected = [full[len(prompt) - 1 + place, token].item() for place, token in enumerate(answer)]
        assert scores == pytest.approx(expected, abs=1e-5)


def test_generation_is_that_of_the_plain_greedy_one(pair: tuple[TransformersModel, Any]) -> None:
    ours, plain_model = pair
    for got, prompt in zip(ours.generate(PROMPTS, 8, lambda _: None), PROMPTS, strict=True):
        ids = ids_of(prompt)
        greedy = settings(do_sample=False, max_new_tokens=8, eos_token_id=257, pad_token_id=0)
        output = plain_model.generate(input_ids=torch.tensor([ids]), generation_config=greedy)[0].tolist()
        new = [token for token in output[len(ids) :] if token != 257]
        assert got.text == tokenizer().decode(new, skip_special_tokens=True)
        full = plain(plain_model, ids + new)
        expected = [full[len(ids) - 1 + place, token].item() for place, token in enumerate(new)]
        assert got.log_probs == pytest.approx(expected, abs=1e-5)


def test_residuals_are_the_hidden_states(pair: tuple[TransformersModel, Any]) -> None:
    ours, plain_model = pair
    seen: list[tuple[int, torch.Tensor, torch.Tensor]] = []

    def consume(batch: ResidualBatch) -> None:
        assert set(batch.residuals) == {0, 1}
        assert batch.mask.dtype == torch.bool
        for row, mask in enumerate(batch.mask):
            assert not mask[0]
            seen.append((int(mask.sum()), batch.residuals[0][row, mask], batch.residuals[1][row, mask]))

    ours.for_each_residual(PROMPTS, [1, 0], consume, lambda _: None)
    assert len(seen) == len(PROMPTS)
    lengths = {len(ids_of(prompt)) - 1: prompt for prompt in PROMPTS}
    for length, *layers in seen:
        with torch.no_grad():
            hidden = plain_model(
                input_ids=torch.tensor([ids_of(lengths[length])]), output_hidden_states=True
            ).hidden_states
        for layer, got in enumerate(layers):
            torch.testing.assert_close(got, hidden[layer + 1][0, 1:], atol=1e-5, rtol=1e-5)


def test_the_last_layer_is_before_the_final_norm(llama: Path) -> None:
    ours, plain_model = ask(llama), reference(llama)
    got: list[torch.Tensor] = []
    ours.for_each_residual(["abc"], [LAYERS - 1], lambda batch: got.append(batch.residuals[LAYERS - 1]), lambda _: None)
    with torch.no_grad():
        hidden = plain_model(input_ids=torch.tensor([ids_of("abc")]), output_hidden_states=True).hidden_states
        torch.testing.assert_close(plain_model.get_decoder().norm(got[0]), hidden[-1])


def test_the_forward_stops_after_the_last_layer_and_leaves_no_hook(llama: Path) -> None:
    ours = ask(llama)
    layers = layers_of(ours)
    run: list[int] = []
    handle = layers[2].register_forward_hook(lambda *_: run.append(2))
    ours.for_each_residual(["abc"], [1], lambda _: None, lambda _: None)
    assert run == []
    handle.remove()
    assert all(not layer._forward_hooks for layer in layers)


def test_a_failing_consumer_is_heard_and_leaves_no_hook(llama: Path) -> None:
    ours = ask(llama)

    def fail(_: ResidualBatch) -> None:
        raise KeyError("full")

    with pytest.raises(KeyError):
        ours.for_each_residual(["abc"], [0], fail, lambda _: None)
    assert not layers_of(ours)[0]._forward_hooks


@pytest.mark.parametrize("layers", [[], [LAYERS], [-1]])
def test_layers_that_are_not_there(llama: Path, layers: list[int]) -> None:
    with pytest.raises(ValueError, match="a model that has 3"):
        ask(llama).for_each_residual(["abc"], layers, lambda _: None, lambda _: None)


def test_order_is_kept_and_batches_do_not_matter(llama: Path) -> None:
    prompts = [letter * length for letter in "abc" for length in range(1, 9)]
    random.Random(1).shuffle(prompts)
    single, many = ask(llama, tokens=1), ask(llama, tokens=4096)
    torch.testing.assert_close(
        single.next_token_log_probs(prompts), many.next_token_log_probs(prompts), atol=1e-5, rtol=0
    )
    texts = [generation.text for generation in single.generate(prompts[:8], 4, lambda _: None)]
    assert texts == [generation.text for generation in many.generate(prompts[:8], 4, lambda _: None)]


def test_the_same_twice_is_the_same_to_the_bit(llama: Path) -> None:
    one, two = ask(llama), ask(llama)
    assert torch.equal(one.next_token_log_probs(PROMPTS), two.next_token_log_probs(PROMPTS))


def test_over_long_texts_are_cut(llama: Path) -> None:
    ours, plain_model = ask(llama), reference(llama)
    long = "".join(chr(97 + index % 26) for index in range(CONTEXT * 2))
    kept = [256, *ids_of(long)[-(CONTEXT - 1) :]]
    expected = plain(plain_model, kept)[-1]
    torch.testing.assert_close(ours.next_token_log_probs([long])[0], expected, atol=1e-5, rtol=0)
    (scores,) = ours.answer_log_probs([Question(long, "x")], lambda _: None)
    assert scores == pytest.approx([expected[ids_of("x")[1]].item()], abs=1e-5)
    (generation,) = ours.generate([long], 5, lambda _: None)
    assert len(generation.log_probs) <= 5
    masks: list[torch.Tensor] = []
    ours.for_each_residual([long, ""], [0], lambda batch: masks.append(batch.mask), lambda _: None)
    assert [tuple(mask.shape) for mask in masks] == [(1, CONTEXT)]
    with pytest.raises(DiffError, match="Shorten it") as caught:
        ours.answer_log_probs([Question("a", long)], lambda _: None)
    assert caught.value.reason == "probes_invalid"


def test_generation_ends_at_the_context(llama: Path) -> None:
    ours = ask(llama)
    (generation,) = ours.generate(["abcdef"], 10_000, lambda _: None)
    assert len(generation.log_probs) <= CONTEXT - 1
    assert ours.generate(["a"], 0, lambda _: None)[0].text == ""


def test_generation_stops_at_any_of_the_end_tokens(tmp_path: Path) -> None:
    folder = write(tmp_path)
    (first,) = ask(folder).generate(["abc"], 8, lambda _: None)
    plain_model = reference(folder)
    ids, chosen = ids_of("abc"), list[int]()
    for _ in range(3):
        chosen.append(int(plain(plain_model, ids + chosen)[-1].argmax()))
    settings(eos_token_id=[257, chosen[2]], repetition_penalty=5.0, do_sample=True, temperature=9.0).save_pretrained(
        folder
    )
    (ended,) = ask(folder).generate(["abc"], 8, lambda _: None)
    length = chosen.index(chosen[2])
    assert ended.log_probs == pytest.approx(first.log_probs[:length], abs=1e-5)


def test_without_a_start_token(tmp_path: Path) -> None:
    ours, plain_model = ask(write(tmp_path, "gpt2", adds_bos=False)), reference(tmp_path)
    got = ours.next_token_log_probs(["abc", ""])
    torch.testing.assert_close(got[0], plain(plain_model, ids_of("abc", begin=False))[-1], atol=1e-5, rtol=0)
    torch.testing.assert_close(got[1], plain(plain_model, [256])[-1], atol=1e-5, rtol=0)


def test_what_labels_need(pair: tuple[TransformersModel, Any]) -> None:
    ours, plain_model = pair
    asked: LanguageModel = ours
    assert asked is ours
    assert (ours.n_layers, ours.width) == (LAYERS, WIDTH)
    assert torch.equal(ours.unembedding, plain_model.get_output_embeddings().weight)
    assert not ours.unembedding.requires_grad
    assert ours.token_text(ids_of("Q")[1]) == "Q"
    assert ours.token_text(VOCABULARY - 1) == f"<{VOCABULARY - 1}>"


def test_no_network(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a network call")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    ask(llama).generate(["a"], 2, lambda _: None)


def test_half_precision_loads_and_answers_in_fp32(llama: Path) -> None:
    checkpoint = inspect(llama)
    ours = load(checkpoint, checkpoint, device=pick_device("cpu"), dtype="bfloat16")
    assert ours.unembedding.dtype == torch.bfloat16
    got = ours.next_token_log_probs(PROMPTS)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got.exp().sum(-1), torch.ones(len(PROMPTS)))


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: not enough memory")]
)
def test_no_memory_is_transient(llama: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    ours = ask(llama)

    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(ours._model, "forward", fail)
    with pytest.raises(TransientDiffError, match="STREAKLINE_TOKENS_PER_BATCH") as caught:
        ours.next_token_log_probs(["a"])
    assert caught.value.reason == "out_of_memory"
