"""Has training ended? The signals that tell, behind one call.

The watcher asks before it gives up waiting. On Kubernetes the state of the training is read from
the own resource by a watch; without a cluster training leaves a file beside its checkpoints.
"""

from collections.abc import Callable

from sidecar_evaluator.discovery.directory import Listing

SENTINEL = "training.finished"
SUCCEEDED = "Succeeded"
FINISHED_STATES = frozenset({SUCCEEDED, "Failed", "Gone"})

STOPPING_SECONDS = 45.0
"""How long the pods of a training that failed or was deleted may take to save a last checkpoint and end."""


class TrainingEnd:
    """The end of training as the resource tells it: a watch tells states, the watcher asks."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._comes_at: float | None = None

    def saw(self, state: str) -> None:
        """Take note of the training's state."""
        if state in FINISHED_STATES and self._comes_at is None:
            self._comes_at = self._clock() + (0.0 if state == SUCCEEDED else STOPPING_SECONDS)

    def has_come(self) -> bool:
        """Tell whether no further checkpoint is to be expected."""
        return self._comes_at is not None and self._clock() >= self._comes_at


def training_finished(sentinel: str, has_come: Callable[[], bool]) -> Callable[[Listing], bool]:
    """Return a check for the sentinel file in a listing, or for an end that is known otherwise."""
    return lambda listing: has_come() or sentinel in listing.names
