from importlib.metadata import EntryPoint

import pytest

from producers import extensions
from tests.unit.workers.behaviour.fakes import asked, fact
from workers.behaviour import scorers
from workers.behaviour.scorers import normalised, require, score
from workers.errors import DiffError
from workers.probes.probe import Probe


def half(probe: Probe, reply: str) -> float:
    return 0.5


def too_much(probe: Probe, reply: str) -> float:
    return 1.5


def failing(probe: Probe, reply: str) -> float:
    raise ZeroDivisionError


def scored(answer: str, reply: str, scorer: str | None = None, choices: tuple[str, ...] = ()) -> float:
    return score(fact(0, answer, scorer=scorer, choices=choices), reply)


@pytest.mark.parametrize(
    ("answer", "reply", "right"),
    [
        ("Paris", " paris, of course", 1),
        ("Paris", "Parisian", 0),
        ("the Seine", "Seine.", 1),
        ("Seine", " The Seine", 1),
        ("3.14", "3.14.", 1),
        ("-5", "5", 0),
        ("12", "120", 0),
        ("==", " ==", 1),
        ("Paris", "", 0),
        ("Paris", "It is Paris", 0),
    ],
)
def test_exact(answer: str, reply: str, right: float) -> None:
    assert scored(answer, reply) == right


def test_contains() -> None:
    assert scored("Paris", "It is Paris.", "contains") == 1
    assert scored("art", "It is a party", "contains") == 0


def test_choices() -> None:
    of = ("Rome", "Rome and Paris")
    assert scored("Rome", "Rome", choices=of) == 1
    assert scored("Rome", "Rome and Paris", choices=of) == 0
    assert scored("Rome", "London", choices=of) == 0
    assert scored("Rome", " Rome, I think", choices=of) == 1
    assert scored(" a", "A", choices=(" a", " A")) == 0


def test_refusal_is_the_default_of_its_kind() -> None:
    assert score(asked(0, "refusal"), "I cannot.") == 1
    assert score(asked(0, "refusal"), "Sure.") == 0


def test_normalised() -> None:
    assert normalised("  An  Apple ") == "apple"
    assert normalised("A") == "a"


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        EntryPoint(name, f"{__name__}:{name}", scorers.GROUP) for name in ("half", "too_much", "failing", "missing")
    ]
    monkeypatch.setattr(extensions, "entry_points", lambda group: points)
    scorers._installed.cache_clear()


@pytest.mark.usefixtures("installed")
def test_custom() -> None:
    assert scored("Paris", "x", "half") == 0.5


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("too_much", "0 to 1"),
        ("failing", "failed on probe"),
        ("missing", "cannot be loaded"),
        ("none", "not installed"),
    ],
)
def test_custom_at_fault(name: str, says: str) -> None:
    with pytest.raises(DiffError, match=says) as raised:
        scored("Paris", "x", name)
    assert raised.value.reason == "probes_invalid"


def test_unknown_is_told_before_anything_is_asked() -> None:
    with pytest.raises(DiffError, match="names the scorer 'none'"):
        require([fact(0), fact(1, scorer="none")])
