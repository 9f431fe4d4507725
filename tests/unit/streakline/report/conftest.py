"""A lake that is written once."""

from collections.abc import Iterator

import pytest

from tests.reported_lake import ReportedLake, write
from workers.lake.session import Session


@pytest.fixture(scope="session")
def known(tmp_path_factory: pytest.TempPathFactory) -> ReportedLake:
    return write(tmp_path_factory.mktemp("lake"))


@pytest.fixture(scope="session")
def session(known: ReportedLake) -> Iterator[Session]:
    with Session(str(known.root)) as opened:
        yield opened
