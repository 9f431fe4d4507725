"""When a framework's training is told to stop: on all ranks at the same step."""

from producers.publisher import StepPublisher

STEPS_BETWEEN_QUESTIONS = 10
"""on several ranks; a question waits for all of them"""


class Stopping:
    """Whether `run` has been asked to stop, for a training that asks once after every optimizer step, on every rank.

    Alone, the answer is that of the step. Several ranks put their heads together at every tenth step only.
    """

    def __init__(self, run: StepPublisher) -> None:
        self._run = run
        self._steps = 0

    def is_due(self, *, ranks: int) -> bool:
        """Whether to stop now; with several ranks the same on all."""
        if ranks == 1:
            return self._run.should_stop is not None
        self._steps += 1
        return self._steps % STEPS_BETWEEN_QUESTIONS == 0 and self._run.should_stop_on_any_rank()
