"""What a person has to be told, said once."""

import logging

_log = logging.getLogger("streakline")


class Complaints:
    """Says each sentence once, as a warning in the log named ``streakline``."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def say(self, sentence: str) -> None:
        """Say `sentence`, unless it has been said."""
        if sentence not in self._said:
            self._said.add(sentence)
            _log.warning("%s", sentence)
