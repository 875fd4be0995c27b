"""Whether an evaluation can start, as `/readyz` reports it: two events, set and read by different threads.

`commands.run` sets them, the HTTP server reads them. Nothing may wait for them.
"""

import threading


class Readiness:
    """Whether the model is built and the checkpoint directory was seen."""

    def __init__(self) -> None:
        self.model_built = threading.Event()
        self.directory_seen = threading.Event()

    def is_ready(self) -> bool:
        """Return whether the model is built and the directory was listed."""
        return self.model_built.is_set() and self.directory_seen.is_set()
