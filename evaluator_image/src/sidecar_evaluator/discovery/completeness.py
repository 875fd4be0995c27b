"""Is a checkpoint whole? Asked of its format, by a look into the files, until the answer is yes once.

The iterator asks before it hands out a checkpoint whose listing is complete. Looks into files cost
requests on object-store mounts, so that no checkpoint is looked into again once it was whole.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sidecar_evaluator.checkpoints.interface import Checkpoint
from sidecar_evaluator.errors import first_line, require_storage

_EXAMINED_FILES = 16  # of one checkpoint


@dataclass
class Completeness:
    """What the looks into checkpoints have told; `beat` is called before each.

    `recheck` is told of a checkpoint that is not whole, so that its files are listed again.
    """

    recheck: Callable[[Checkpoint], None]
    beat: Callable[[], None] = lambda: None
    _whole: set[object] = field(default_factory=set)

    def missing(self, checkpoint: Checkpoint) -> str:
        """Say what a checkpoint lacks, "" for a whole one.

        Raises StorageGoneError: the mount has died.
        """
        if checkpoint.missing or checkpoint.version in self._whole:
            return checkpoint.missing
        self.beat()
        missing = missing_parts(checkpoint)
        if missing:
            self.recheck(checkpoint)
        else:
            self._whole.add(checkpoint.version)
        return missing

    def is_whole(self, checkpoint: Checkpoint) -> bool:
        """Tell whether a checkpoint lacks nothing."""
        return not self.missing(checkpoint)


def missing_parts(checkpoint: Checkpoint) -> str:
    """Say what a checkpoint lacks by its listing or by a look into it; what cannot be looked into is not whole.

    Raises StorageGoneError: the mount has died.
    """
    try:
        missing = checkpoint.missing or checkpoint.format.inspect(checkpoint)
        if not missing and (denied := denied_file(checkpoint)):
            return f"{denied.name} may not be read"
        return missing
    except Exception as error:
        require_storage(error)
        return f"it cannot be looked into: {first_line(error)}"


def may_read(path: Path) -> bool:
    """Tell whether this process may read a file, True for one that is gone or cannot be asked about."""
    try:
        return os.access(path, os.R_OK) or not path.exists()
    except OSError:
        return True


def denied_file(checkpoint: Checkpoint) -> Path | None:
    """Return a file of a checkpoint that may not be read."""
    directory = checkpoint.path.parent
    files = (directory / file.name for file in checkpoint.files[:_EXAMINED_FILES])
    return next((file for file in files if not may_read(file)), None)
