"""Whether an evaluation can start and be published, as `/readyz` reports it; set and read by different threads.

`commands.run` sets the events, the threads that talk to the API server note their contacts, and the HTTP server
reads them. Nothing may wait for them.
"""

import threading
from collections.abc import Sequence

from sidecar_evaluator.runtime.contact import Contact

SILENCE_SECONDS = 60.0
"""For so long the API server may be away before the evaluator counts as one that cannot report."""


class Readiness:
    """Whether the model is built, the checkpoint directory was seen, and none of the contacts is lost."""

    def __init__(self, contacts: Sequence[Contact] = ()) -> None:
        self.model_built = threading.Event()
        self.directory_seen = threading.Event()
        self._contacts = contacts

    def is_ready(self) -> bool:
        """Return whether the model is built, the directory was listed, and results can be published."""
        is_reporting = all(contact.seconds_lost() < SILENCE_SECONDS for contact in self._contacts)
        return self.model_built.is_set() and self.directory_seen.is_set() and is_reporting
