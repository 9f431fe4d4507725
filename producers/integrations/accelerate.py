"""Publishing what is logged with Accelerate's own `Accelerator.log`.

::

    with StepPublisher(run_id="sft-7", project="assistant") as run:
        accelerator = Accelerator(log_with=StreaklineTracker(run))
        accelerator.init_trackers("assistant")
        model, optimizer, data = accelerator.prepare(model, optimizer, data)
        run.watch(model, scaler=accelerator.scaler)
        ...
            if accelerator.sync_gradients:
                accelerator.log({"loss": loss, "lr": rate}, step=step)

A loop that calls `run.step` itself needs none of this.
"""

from collections.abc import Mapping
from typing import Any, SupportsFloat

from accelerate.tracking import GeneralTracker

from producers.complaints import Complaints
from producers.publisher import StepPublisher

_LOSS = ("loss", "train_loss", "step_loss")
_LEARNING_RATE = ("learning_rate", "lr")


class StreaklineTracker(GeneralTracker):  # type: ignore[misc]  # without types
    """Publishes what is logged with a step and a loss as a step of `run`; other values, and logs without, are ignored.

    Names are those that training scripts use: ``loss``, ``train_loss`` or ``step_loss``, ``learning_rate`` or ``lr``,
    ``epoch``. Leaving the run's block ends the run, and not `end_training`, which is called after a failure too.
    """

    name = "streakline"
    requires_logging_directory = False

    def __init__(self, run: StepPublisher) -> None:
        super().__init__()
        self._run = run
        self._complaints = Complaints()

    @property
    def tracker(self) -> StepPublisher:
        """The run."""
        return self._run

    def log(self, values: Mapping[str, Any], step: int | None = None, **_: Any) -> None:
        """Publish `values`, if they are those of a step."""
        loss = _first(values, _LOSS)
        if loss is None:
            return
        if step is None:
            self._complaints.say("a loss that is logged without its step is not published: accelerator.log(…, step=…)")
            return
        self._run.step(step, loss, learning_rate=_first(values, _LEARNING_RATE), epoch=values.get("epoch"))


def _first(values: Mapping[str, Any], names: tuple[str, ...]) -> SupportsFloat | None:
    return next((values[name] for name in names if name in values), None)
