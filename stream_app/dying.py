"""The end of a worker that cannot go on: its supervisor starts it again."""

import logging
import os
from typing import NoReturn

# sysexits' EX_SOFTWARE.
EXIT_FAILED = 70


def die() -> NoReturn:
    """End at once: whatever was not acknowledged comes again, to us or to another worker."""
    logging.shutdown()
    os._exit(EXIT_FAILED)
