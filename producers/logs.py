"""The one way in which a worker logs."""

import logging


def log_to_stderr(level: int) -> None:
    """Our lines from `level` on, the libraries' from warnings on (at debug: from info on); all to standard error."""
    theirs = logging.INFO if level <= logging.DEBUG else logging.WARNING
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=theirs, force=True)
    logging.getLogger("streakline").setLevel(level)
