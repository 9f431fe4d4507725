"""The style and the scripts, as files to serve or as text to put into a page."""

import base64
import hashlib
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent

STYLES = ("vendor/uPlot.min.css", "theme.css", "figures.css")
SCRIPTS = (
    "vendor/uPlot.iife.min.js",
    "text.js",
    "palette.js",
    "tooltip.js",
    "thinning.js",
    "attempts.js",
    "markers.js",
    "plot.js",
    "legend.js",
    "timeline.js",
    "export.js",
    "copy.js",
)
"""in the order in which a page needs them; each but uPlot adds to the one global, `Streakline`"""


@cache
def asset(name: str, folder: Path = FOLDER) -> str:
    """The text of a file that is shipped here. Raises `OSError` where there is none."""
    return (folder / name).read_text("utf-8")


def content_hash(text: str) -> str:
    """What a content-security policy calls an inline script or style of this text.

    >>> content_hash("")
    "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
    """
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
