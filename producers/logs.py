"""The one way in which a worker logs."""

import logging

from producers.printable import printable


def log_to_stderr(level: int) -> None:
    """Our lines from `level` on, the libraries' from warnings on (at debug: from info on); all to standard error."""
    theirs = logging.INFO if level <= logging.DEBUG else logging.WARNING
    handler = logging.StreamHandler()
    handler.setFormatter(_OneRecordOneLine("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(handlers=[handler], level=theirs, force=True)
    logging.getLogger("streakline").setLevel(level)


class _OneRecordOneLine(logging.Formatter):
    """Messages repeat what others named, files for one: what such a name holds must not look like another record."""

    def format(self, record: logging.LogRecord) -> str:
        """Lines after the first are indented, and what a terminal would obey is escaped."""
        return "\n    ".join(printable(line) for line in super().format(record).splitlines())
