"""Whether recovery is over, which is told otherwise than Faust does, and has to be told the same."""

import itertools
from pathlib import Path
from typing import cast

import faust
import pytest
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.types import TP

from stream_app.recovery import EndingTableManager

# Where nothing was read yet, in the middle, at the end, and beyond it: a partition that is empty ends at -1.
_PARTITIONS = ((None, 7), (-1, 7), (3, 7), (7, 7), (8, 7), (-1, -1), (None, -1), (None, None), (3, None))


@pytest.fixture(name="recovery")
def of_a_worker_that_was_not_started(tmp_path: Path) -> Recovery:
    app = faust.App("unit", datadir=tmp_path, store="memory://", web_enabled=False, TableManager=EndingTableManager)
    return cast("TableManager", app.tables).recovery


@pytest.mark.parametrize("partitions", list(itertools.product(_PARTITIONS, repeat=2)))
def test_what_is_left_to_read_is_told_as_faust_tells_it(
    recovery: Recovery, partitions: tuple[tuple[int | None, int | None], ...]
) -> None:
    for number, (offset, highwater) in enumerate(partitions):
        recovery.active_offsets[TP("changelog", number)] = offset  # type: ignore[assignment]  # Faust does, too
        recovery.active_highwaters[TP("changelog", number)] = highwater  # type: ignore[assignment]
    assert recovery.need_recovery() == Recovery.need_recovery(recovery)
