"""One look at the checkpoint directory: a single listing, read by every format that may be there.

The loop calls `look` once a poll. The directory is listed, never asked for one file's state first:
on object-store mounts a listing is fresh where a cached file is not. Nothing is opened here.
"""

import errno
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from sidecar_evaluator.checkpoints.interface import Checkpoint, CheckpointFormat, Files, FileState
from sidecar_evaluator.checkpoints.keras_weights import KerasWeights
from sidecar_evaluator.checkpoints.tensorflow import TensorFlow
from sidecar_evaluator.errors import ConfigurationError, StorageGoneError, is_storage_gone

_log = logging.getLogger(__name__)

_BRIDGED_SECONDS = 60.0

AUTO = "Auto"
FORMATS: dict[str, type[TensorFlow] | type[KerasWeights]] = {
    "TensorFlow": TensorFlow,
    "KerasWeights": KerasWeights,
}


@dataclass(frozen=True)
class Listing:
    """What one look saw; `exists` is False while the directory has not been made yet.

    It is not `fresh` where the directory could not be listed: it then shows what an earlier look saw.
    """

    checkpoints: tuple[Checkpoint, ...]
    files: Files
    exists: bool = True
    fresh: bool = True


class Directory:
    """A checkpoint directory in one of the known formats, or in any of them (`Auto`)."""

    def __init__(self, path: Path, format_name: str = AUTO, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self._clock = clock
        names = FORMATS if format_name == AUTO else (format_name,)
        self._last = Listing((), {}, exists=False)
        self._failing_since: float | None = None
        self._formats: list[CheckpointFormat] = [FORMATS[name]() for name in names]

    def look(self) -> Listing:
        """List the directory.

        Raises ConfigurationError: it is no directory, or may not be read.
        StorageGoneError: the mount has died.
        """
        try:
            files = self._list()
        except FileNotFoundError:
            return Listing((), {}, exists=False)
        except (NotADirectoryError, PermissionError) as error:
            raise ConfigurationError(self._complaint(error)) from error
        except OSError as error:
            return self._last_listing(error)
        self._failing_since, self._last = None, Listing(self._recognise(files), files)
        return self._last

    def _last_listing(self, error: OSError) -> Listing:
        """Bridge a short trouble of a network file system, so that nothing seems to be deleted."""
        if is_storage_gone(error):
            raise StorageGoneError(error.errno, f"The mount of {self.path} has died: {error}") from error
        now = self._clock()
        self._failing_since = now if self._failing_since is None else self._failing_since
        if now - self._failing_since > _BRIDGED_SECONDS:
            raise error
        _log.warning("%s cannot be listed, trying again: %s", self.path, error)
        return replace(self._last, fresh=False)

    def _list(self) -> Files:
        files = {}
        with os.scandir(self.path) as entries:
            for entry in entries:
                try:
                    if entry.is_file():
                        status = entry.stat()
                        files[entry.name] = FileState(entry.name, status.st_size, status.st_mtime_ns)
                except OSError as error:  # deleted or replaced since the listing
                    if error.errno not in {errno.ENOENT, errno.ESTALE}:
                        raise
        return files

    def _recognise(self, files: Files) -> tuple[Checkpoint, ...]:
        found: dict[str, Checkpoint] = {}
        for checkpoint_format in self._formats:
            for checkpoint in checkpoint_format.find(self.path, files):
                found.setdefault(checkpoint.name, checkpoint)
        return tuple(sorted(found.values(), key=lambda checkpoint: checkpoint.order))

    def _complaint(self, error: OSError) -> str:
        if isinstance(error, NotADirectoryError):
            return f"{self.path} is not a directory; give the directory that training saves checkpoints to."
        return f"{self.path} cannot be read: permission denied for user {os.getuid()}; let it read the volume."
