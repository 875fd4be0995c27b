"""Has training ended? The signals that tell, behind one call.

The watcher asks before it gives up waiting. On Kubernetes the state of the training is read from
the own resource by a watch; without a cluster training leaves a file beside its checkpoints.
"""

import threading
from collections.abc import Callable

from sidecar_evaluator.checkpoints.directory import Listing

SENTINEL = "training.finished"
FINISHED_STATES = frozenset({"Succeeded", "Failed", "Gone"})


def training_finished(sentinel: str, finished: threading.Event) -> Callable[[Listing], bool]:
    """Return a check for the sentinel file in a listing, or the event that a watch sets."""
    return lambda listing: finished.is_set() or sentinel in listing.files
