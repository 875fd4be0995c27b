"""Can an evaluation start? Two events between the threads, answered by `/readyz`.

`run` sets them; the HTTP server asks. Nothing waits for them.
"""

import threading


class Readiness:
    """Whether the model is built and the checkpoint directory was seen."""

    def __init__(self) -> None:
        self.model_built = threading.Event()
        self.directory_seen = threading.Event()

    def is_ready(self) -> bool:
        """Tell whether both are there."""
        return self.model_built.is_set() and self.directory_seen.is_set()
