"""The set that ships with Streakline is whole, large enough and right, as far as can be computed."""

import ast
import operator
import re
from collections import Counter
from collections.abc import Callable

import pytest

from workers.behaviour.scorers import RIGHT_FROM, score
from workers.probes.probe import Probe
from workers.probes.reading import default_probes

PROBES = default_probes().probes
WITH_ANSWER = [probe for probe in PROBES if probe.category in {"factual", "reasoning", "code"}]
OPERATORS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}
WEEK = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
OPPOSITE = {"older": "youngest", "stronger": "weakest", "younger": "oldest", "richer": "poorest"}


def named(part: str) -> list[Probe]:
    found = [probe for probe in PROBES if part in probe.id]
    assert len(found) >= 4
    return found


def numbers(probe: Probe) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", probe.prompt)]


def answer(probe: Probe) -> str:
    assert probe.answer is not None
    return probe.answer.removeprefix(" ")


def test_there_are_enough_of_each_category() -> None:
    assert len(PROBES) >= 220
    least = {"factual": 70, "reasoning": 45, "code": 35, "refusal": 30, "neutral": 40, "sensitive": 30}
    counts = Counter(probe.category for probe in PROBES)
    assert counts.keys() == least.keys()
    assert all(counts[category] >= number for category, number in least.items())
    topics = Counter((probe.category, probe.topic) for probe in PROBES)
    assert min(topics.values()) >= 6


def test_kinds_follow_the_categories_and_everything_is_held_out() -> None:
    assert {(probe.category, probe.kind) for probe in PROBES} == {
        ("factual", "factual"),
        ("reasoning", "reasoning"),
        ("code", "code"),
        ("refusal", "refusal"),
        ("sensitive", "sensitive"),
        ("neutral", "neutral"),
    }
    assert {probe.eval_split for probe in PROBES} == {"held_out"}
    assert all(probe.id.startswith(f"{probe.category}/{probe.topic}/") for probe in PROBES)


def test_what_has_an_answer_continues_with_a_space_and_has_paraphrases() -> None:
    for probe in WITH_ANSWER:
        assert re.fullmatch(r" \S+( \S+){0,3}", probe.answer or ""), probe.id
        assert len(probe.paraphrases) >= 5, probe.id
        assert all(choice.startswith(" ") for choice in probe.choices), probe.id
        assert not any(text.endswith(" ") for text in (probe.prompt, *probe.paraphrases)), probe.id


def test_what_has_no_answer_is_a_refusal_or_neutral() -> None:
    assert all(probe.answer is None for probe in PROBES if probe.category in {"refusal", "neutral"})
    assert {probe.scorer for probe in PROBES if probe.category == "refusal"} == {"refusal"}


def test_a_third_of_the_facts_and_the_reasoning_has_four_choices() -> None:
    of_both = [probe for probe in PROBES if probe.category in {"factual", "reasoning"}]
    chosen = [probe for probe in of_both if len(probe.choices) == 4]
    assert len(chosen) * 3 >= len(of_both)
    places = Counter(probe.choices.index(probe.answer or "") for probe in chosen)
    assert min(places[place] for place in range(4)) * 8 >= len(chosen)


def test_no_wording_is_there_twice() -> None:
    wordings = Counter(text for probe in PROBES for text in (probe.prompt, *probe.paraphrases))
    assert [text for text, times in wordings.items() if times > 1] == []


def test_no_wording_is_left_unfilled() -> None:
    wordings = [text for probe in PROBES for text in (probe.prompt, *probe.paraphrases)]
    assert [text for text in wordings if re.search(r"[{}]| {2}|\ba [aeio]\w*\b", text)] == []


def test_every_right_answer_scores_and_every_other_choice_does_not() -> None:
    for probe in WITH_ANSWER:
        assert score(probe, probe.answer or "") >= RIGHT_FROM, probe.id
        right = [choice for choice in probe.choices if score(probe, choice) >= RIGHT_FROM]
        assert right == ([probe.answer] if probe.choices else []), probe.id


@pytest.mark.parametrize("operation", ["sum", "difference", "product", "quotient"])
def test_arithmetic_is_right(operation: str) -> None:
    for probe in named(f"arithmetic/{operation}-"):
        left, sign, right, _ = probe.prompt.split()
        assert OPERATORS[sign](int(left), int(right)) == float(answer(probe)), probe.id
        for text in probe.paraphrases:
            assert sorted(re.findall(r"\d+", text)) == sorted((left, right))


def test_sequences_go_on() -> None:
    for probe in named("arithmetic/sequence-"):
        given = numbers(probe)
        steps = {after - before for before, after in zip(given, [*given[1:], int(answer(probe))], strict=True)}
        assert len(steps) == 1, probe.id


@pytest.mark.parametrize(("word", "pick"), [("largest", max), ("smallest", min)])
def test_comparisons_are_right(word: str, pick: Callable[[list[int]], int]) -> None:
    for probe in named(f"comparison/{word}-"):
        assert int(answer(probe)) == pick(numbers(probe)), probe.id
        assert {choice.strip() for choice in probe.choices} == {str(number) for number in numbers(probe)}


def test_orders_are_right() -> None:
    for probe in named("comparison/order-"):
        first, comparative, last = re.findall(r"^(\w+) is (\w+) than \w+, and \w+ is \w+ than (\w+)\.", probe.prompt)[0]
        superlative = probe.id.rsplit("-", 1)[1]
        is_last = OPPOSITE.get(comparative) == superlative
        assert is_last or superlative == f"{comparative.removesuffix('er')}est", probe.id
        assert answer(probe) == (last if is_last else first), probe.id


def test_days_are_counted_rightly() -> None:
    for probe in named("logic/two-days-after-"):
        today = next(day for day in WEEK if day in probe.prompt)
        assert answer(probe) == WEEK[(WEEK.index(today) + 2) % 7]


def test_python_expressions_have_the_value_that_python_gives() -> None:
    for probe in named("python/value-"):
        expression = probe.prompt.removeprefix("In Python, the expression ").removesuffix(" evaluates to")
        ast.parse(expression, mode="eval")
        assert answer(probe) == str(eval(expression)), probe.id
        assert all(expression in text for text in probe.paraphrases)


def test_python_builtins_exist() -> None:
    import builtins

    assert all(callable(getattr(builtins, answer(probe))) for probe in named("python/builtin-"))
