"""Step events recorded from three real fine-tunes; see README.md beside this file."""

from pathlib import Path

FOLDER = Path(__file__).parent
