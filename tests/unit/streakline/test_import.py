"""``import streakline`` in a trainer costs nothing and brings nothing along."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "faust", "aiokafka", "typer", "rich", "numpy", "redis")


@pytest.mark.parametrize("statement", ["import streakline", "from streakline import StepPublisher"])
def test_nothing_heavy_is_imported(statement: str) -> None:
    program = f"import sys; {statement}; print(*sorted(sys.modules.keys() & set({HEAVY!r})))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""


def test_the_publisher_is_the_producers_own() -> None:
    import streakline
    from producers.publisher import StepPublisher

    assert streakline.StepPublisher is StepPublisher
    with pytest.raises(AttributeError, match="module 'streakline' has no attribute 'Publisher'"):
        _ = streakline.Publisher
