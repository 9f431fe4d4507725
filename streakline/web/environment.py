"""The Jinja environment of every page: what is hostile is escaped without anyone thinking of it."""

from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from streakline.web.assets import FOLDER
from streakline.web.filters import FILTERS, shown

_UNSAFE_IN_SCRIPTS = str.maketrans({each: f"\\u{ord(each):04x}" for each in "<>&\u2028\u2029"})


def environment(templates: Path) -> Environment:
    """Templates of a folder, and those that pages share.

    Every value is escaped, characters that do not print are shown as escapes, and a name that is not there is an error.
    """
    made = Environment(
        loader=FileSystemLoader([templates, FOLDER / "templates"]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(FILTERS)
    made.globals["json_script"] = json_script
    return made


def json_script(data: Any) -> Markup:
    """`data` (structs, too) as JSON that may stand within `<script type="application/json">`.

    >>> json_script({"</script>": "&"})
    Markup('{"\\\\u003c/script\\\\u003e":"\\\\u0026"}')
    """
    return Markup(msgspec.json.encode(data).decode().translate(_UNSAFE_IN_SCRIPTS))  # noqa: S704 - just escaped
