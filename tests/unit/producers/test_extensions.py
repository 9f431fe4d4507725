"""What installed packages have under an entry point group."""

from importlib.metadata import EntryPoint

import pytest

from producers import extensions
from producers.extensions import BrokenExtension, load, offered

GROUP = "streakline.tests"


def install(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    points = [EntryPoint(name, value, GROUP) for name, value in values.items()]
    monkeypatch.setattr(extensions, "entry_points", lambda group: [point for point in points if point.group == group])


def test_they_are_found_by_name_and_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, b="math:tau", a="math:pi")
    found = offered(GROUP)
    assert list(found) == ["a", "b"]
    assert load(found["a"]) == pytest.approx(3.14159265)


def test_of_a_group_that_nobody_has_there_are_none() -> None:
    assert offered("streakline.nobody") == {}


def test_a_name_that_two_packages_have_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [EntryPoint("a", value, GROUP) for value in ("math:pi", "math:tau")]
    monkeypatch.setattr(extensions, "entry_points", lambda group: points)
    with pytest.raises(BrokenExtension, match=r"'a' .*'math:pi' and 'math:tau'. Uninstall one"):
        offered(GROUP)


@pytest.mark.parametrize("value", ["math:nothing", "no_such_module:x", "not a reference"])
def test_what_cannot_be_loaded_says_so(value: str) -> None:
    with pytest.raises(BrokenExtension, match=r"'a' of the entry point group .* cannot be loaded .* Repair"):
        load(EntryPoint("a", value, GROUP))
