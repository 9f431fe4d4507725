"""Faust's recovery of the tables, made to end the worker where it would leave it standing still for ever, and to ask
for less with each record that it reads.
"""

import logging
from typing import Any

from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery, ServiceStopped

from stream_app.dying import die

logger = logging.getLogger("streakline.stream")


class _EndingRecovery(Recovery):
    async def _wait(self, coro: Any, timeout: Any = None) -> None:  # noqa: ASYNC109  # the base class's
        try:
            await super()._wait(coro, timeout)
        except ServiceStopped:
            if self.should_stop:
                raise
            # mode does not tell a time-out from the end of the service: Faust would end its recovery without a word,
            # and no rebalance would begin another.
            logger.critical(
                "the broker was silent for %g s while the tables were recovered: this worker ends and starts anew",
                timeout,
            )
            die()

    def need_recovery(self) -> bool:
        """Whether a partition has records that were not read yet.

        Faust asks after each record, and its own counts what is left of every partition for the answer: of 64
        partitions that took longer than all else that is done with a record.
        """
        offsets = self.active_offsets
        return any(
            highwater is not None and (offset := offsets[partition]) is not None and highwater > offset
            for partition, highwater in self.active_highwaters.items()
        )


class EndingTableManager(TableManager):
    """Faust's, with a recovery that ends the process, as everything does that fails, where the broker is silent."""

    @property
    def recovery(self) -> Recovery:
        """Made when it is first asked for."""
        if self._recovery is None:
            self._recovery = _EndingRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery
