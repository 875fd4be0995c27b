"""The log lines of a long wait: that no checkpoint comes, and what a person may have to put right.

The iterator calls it before each wait. It reads what the look saw and changes nothing.
"""

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sidecar_evaluator.discovery.directory import Listing
from sidecar_evaluator.discovery.obstacles import missing_directory
from sidecar_evaluator.discovery.other_formats import is_saved_model, other_format

_log = logging.getLogger(__name__)

REMINDER_SECONDS = 30.0


class LookedAt(Protocol):
    """What is asked of a directory; see `Directory`."""

    path: Path

    def nested(self) -> list[str]:
        """Return the subdirectories that hold checkpoints themselves."""


@dataclass
class Reminder:
    """Explains every half minute of silence."""

    directory: LookedAt
    _last: float = 0.0

    def remind(self, listing: Listing, now: float, silence: float, *, has_settled: bool) -> None:
        """Log a line if there was none for a while; `now` is monotonic, `silence` the seconds without a checkpoint."""
        if min(silence, now - self._last) < REMINDER_SECONDS:
            return
        self._last = now
        hint = self._hint(listing, has_settled=has_settled)
        _log.info("No new checkpoint for %.0f s. %s", silence, hint)

    def _hint(self, listing: Listing, *, has_settled: bool) -> str:
        if not listing.exists:
            return f"{missing_directory(self.directory.path)}; waiting for training to make it."
        if listing.checkpoints or has_settled:
            return "Waiting for training to finish the next one."
        if not is_saved_model(listing.names) and (nested := self.directory.nested()):
            return f"The directory holds no checkpoint, but {_examples(nested)} below it does: name that directory."
        if other := other_format(self.directory.path, listing.names):
            return f"The directory holds {_contents(listing.names)}; {other}."
        return (
            f"The directory holds {_contents(listing.names)}. Save checkpoints with tf.train.CheckpointManager, "
            "OrbaxCheckpoint, or ModelCheckpoint and a file name such as ckpt-{epoch}.weights.h5 or ckpt-{epoch}.keras."
        )


def _contents(names: Collection[str]) -> str:
    return f"no checkpoint, only {_examples(names)}" if names else "no file yet"


def _examples(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)[:3])
