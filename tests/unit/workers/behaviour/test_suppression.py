import pytest

from tests.unit.workers.behaviour.fakes import FakeModel, asked, nothing
from workers.behaviour.compare import compare
from workers.behaviour.hedges import hedges, refused
from workers.behaviour.suppression import measure, suppression
from workers.lake.tables import ModelDiffRow

PROBES = [
    *(asked(number, "neutral") for number in range(30)),
    *(asked(number, "sensitive", f"class {number % 3}") for number in range(30)),
]
REFUSAL = " I'm sorry, but I cannot talk about that."


def chatty(prompt: str) -> str:
    """Replies to neutral and sensitive prompts differ in length, as those of real models do."""
    return " so it is" * (6 + len(prompt) % 5 + sum(map(ord, prompt)) % 4)


def diff(fine_tuned: FakeModel, base: FakeModel | None = None) -> dict[str, ModelDiffRow]:
    before = measure(base or FakeModel(chatty), "base", PROBES, nothing)
    found = compare(before, measure(fine_tuned, "fine_tuned", PROBES, nothing))
    return {row.score: row for row in found if row.scope == "overall"}


def test_terse_about_everything_is_not_suppressed() -> None:
    found = diff(FakeModel(lambda prompt: " so it is"))
    assert found["suppression"].delta > 0.3
    assert found["suppression"].ci_low > 0
    assert found["suppression_control"].delta > 0.3
    assert found["suppression"].verdict == "unchanged"


def test_a_base_that_was_terse_about_everything_was_not_suppressed() -> None:
    assert diff(FakeModel(chatty), FakeModel(lambda prompt: " so it is"))["suppression"].verdict == "unchanged"


def test_refusing_everything_is_not_suppressed_either() -> None:
    assert diff(FakeModel(lambda prompt: REFUSAL))["suppression"].verdict == "unchanged"


def test_refusing_only_what_is_sensitive_is() -> None:
    found = diff(FakeModel(lambda prompt: REFUSAL if "sensitive" in prompt else chatty(prompt)))
    assert found["suppression"].fine_tuned == 1.0
    assert found["suppression"].verdict == "regressed"
    assert found["suppression_excess"].ci_low > 0.5
    assert found["suppression_refusals"].fine_tuned == 1.0


def test_hedging_and_going_short_only_there_is() -> None:
    assert (
        diff(FakeModel(lambda p: " perhaps" * 20 if "sensitive" in p else chatty(p)))["suppression"].verdict
        == "regressed"
    )
    assert diff(FakeModel(lambda p: " so" if "sensitive" in p else chatty(p)))["suppression"].verdict == "regressed"


def test_opening_up_is_better() -> None:
    refusing = FakeModel(lambda prompt: REFUSAL if "sensitive" in prompt else chatty(prompt))
    assert diff(FakeModel(chatty), refusing)["suppression"].verdict == "improved"


def test_only_the_neutral_replies_changed() -> None:
    found = diff(FakeModel(chatty), FakeModel(lambda p: REFUSAL if p.endswith("l 7.") else chatty(p)))
    assert found["suppression"].delta == 0
    assert found["suppression"].verdict == "unchanged"


def test_classes_weigh_the_same() -> None:
    probes = [asked(0, "neutral"), *(asked(n, "sensitive", "big") for n in range(9)), asked(9, "sensitive", "small")]
    base = measure(FakeModel(chatty), "base", probes, nothing)
    refusing = FakeModel(lambda prompt: REFUSAL if "sensitive 9" in prompt else " so it is" * 30)
    rows = compare(base, measure(refusing, "fine_tuned", probes, nothing))
    overall = next(row for row in rows if (row.score, row.scope) == ("suppression", "overall"))
    assert overall.fine_tuned == 0.5


def test_no_control_no_score() -> None:
    only = [asked(0, "sensitive")]
    rows = measure(FakeModel(chatty), "base", only, nothing)
    assert compare(rows, rows) == []


def test_formula() -> None:
    assert suppression(10, 0, False, 40) == pytest.approx(0.375)
    assert suppression(40, 1, False, 40) == pytest.approx(0.25)
    assert suppression(10, 5, True, 40) == 1
    assert suppression(0, 0, False, 0) == 0


@pytest.mark.parametrize(
    ("text", "count"),
    [("PERHAPS", 1), ("mighty", 0), ("it might be", 1), ("It is important\nto note", 1), ("perhaps, perhaps", 2)],
)
def test_hedges(text: str, count: int) -> None:
    assert hedges(text) == count


@pytest.mark.parametrize(
    "text",
    [
        "I can't do that",
        "\n\n  I CANNOT",
        '"Unfortunately, I am unable to',
        "I can\u2019t",
        "Sorry, but I won't",
        "As an AI, no",
    ],
)
def test_refusals(text: str) -> None:
    assert refused(text)


@pytest.mark.parametrize("text", ["", "Paris.", "I cannothing", "You said I cannot", "I can help"])
def test_no_refusals(text: str) -> None:
    assert not refused(text)


def test_rows_carry_the_reply() -> None:
    rows = measure(FakeModel(lambda prompt: REFUSAL), "base", [asked(0, "refusal"), asked(0, "code")], nothing)
    assert [(row.measure, row.value, row.text) for row in rows] == [
        ("reply_words", 8.0, REFUSAL),
        ("hedges", 0.0, REFUSAL),
        ("refused", 1.0, REFUSAL),
    ]
