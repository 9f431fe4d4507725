import json
from pathlib import Path

import msgspec
import pytest
from jinja2 import TemplateNotFound, UndefinedError

from streakline.web.assets import FOLDER, SCRIPTS, STYLES, asset
from streakline.web.environment import environment, json_script
from streakline.web.filters import FILTERS

HOSTILE = "</script><b>&\u2028\u2029'\""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def rendered(folder: Path, source: str, **values: object) -> str:
    (folder / "it.html.j2").write_text(source)
    return environment(folder).get_template("it.html.j2").render(**values)


def test_every_value_is_escaped(folder: Path) -> None:
    assert rendered(folder, '<p title="{{ it }}">{{ it }}', it="<\"'&>").count("&lt;&#34;&#39;&amp;&gt;") == 2


def test_what_does_not_print_is_shown_as_an_escape(folder: Path) -> None:
    assert rendered(folder, "{{ it }}", it="a\u202eb\x1b[2J\n\tc") == "a\\u202eb\\x1b[2J\n\tc"


def test_lists_of_text_are_escaped_too(folder: Path) -> None:
    assert rendered(folder, "{{ it | join(', ') }}", it=["<", ">"]) == "&lt;, &gt;"


def test_a_name_that_is_not_there_is_an_error(folder: Path) -> None:
    with pytest.raises(UndefinedError, match="missing"):
        rendered(folder, "{{ missing }}")


def test_a_template_outside_the_folders_is_not_found(folder: Path) -> None:
    (folder / "secret.txt").write_text("secret")
    (folder / "templates").mkdir()
    with pytest.raises(TemplateNotFound):
        environment(folder / "templates").get_template("../secret.txt")


def test_json_cannot_leave_its_script() -> None:
    said = json_script({"it": HOSTILE})
    assert not set("<>&\u2028\u2029") & set(said)
    assert json.loads(said) == {"it": HOSTILE}


def test_json_of_structs_keeps_no_number_that_is_not_one() -> None:
    class Point(msgspec.Struct):
        loss: float

    assert json_script((Point(loss=float("nan")), Point(loss=1.5))) == '[{"loss":null},{"loss":1.5}]'


def test_every_filter_takes_what_is_missing_or_is_for_names(folder: Path) -> None:
    for name in FILTERS.keys() - {"attempt", "spoken", "sentence"}:
        assert rendered(folder, "{{ none | " + name + " }}") == "–"
    assert rendered(folder, "{{ 'held_out' | spoken }}, {{ 3 | attempt }}") == "held out, attempt 3"


def test_scripts_and_styles_are_there_and_fit_into_a_page() -> None:
    for name in (*STYLES, *SCRIPTS):
        text = asset(name)
        assert text
        # Either would end the element that holds it.
        assert "</script" not in text.lower()
        assert "</style" not in text.lower()


def test_every_script_that_is_shipped_is_listed() -> None:
    assert {path.name for path in FOLDER.glob("*.js")} == {name for name in SCRIPTS if "/" not in name}
    assert {path.name for path in FOLDER.glob("*.css")} == {name for name in STYLES if "/" not in name}
