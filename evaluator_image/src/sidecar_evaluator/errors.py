"""What can go wrong, and the exit code that tells it to whoever started the process.

Readers and the evaluation raise these; the loop turns those about one checkpoint into its outcome,
and the command line turns the others into an exit code. No other module invents an exit code.
"""

import errno
from enum import IntEnum

from sidecar_evaluator.causes import cause_in


class ExitCode(IntEnum):
    """Exit codes of `sidecar-evaluator run`; a Job's pod failure policy tells them apart."""

    DRAINED = 0
    ERROR = 1
    STORAGE_GONE = 75  # EX_TEMPFAIL: a fresh pod gets a fresh mount
    CONFIGURATION = 78  # EX_CONFIG: trying again cannot help
    TERMINATED = 143  # 128 + SIGTERM


class ConfigurationError(ValueError):
    """Flags, entry point, model or checkpoint directory are wrong; only a person can put it right.

    `detail` holds lines for the log alone, such as the traceback of the user's own code.
    """

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail


class StorageGoneError(OSError):
    """The mount below a file has died; no process of this pod can read it again."""


class Stopped(Exception):  # noqa: N818 - it says that a request was obeyed, not that something failed
    """The evaluation was asked to stop between two batches."""


class CheckpointError(Exception):
    """One checkpoint cannot be evaluated; the message says why."""


class CheckpointUnreadable(CheckpointError):  # noqa: N818 - named like the outcome's reason
    """The files cannot be read now; a later attempt may succeed."""


class CheckpointIncompatible(CheckpointError):  # noqa: N818 - named like the outcome's reason
    """The variables in the checkpoint are not those of the model."""


class ModelCodeError(CheckpointError):
    """The model's own code raised while a checkpoint was read for it; another read cannot help."""


class CheckpointGone(CheckpointError):  # noqa: N818 - named like the outcome
    """The files were deleted before they were read whole."""


class IterationsMissingError(RuntimeError):
    """The checkpoint lacks the number of training iterations."""

    def __init__(self, path: object) -> None:
        super().__init__(
            f"Variable `iterations` cannot be loaded from the checkpoint file at {path}. Save the optimizer "
            "with the model: tf.train.Checkpoint(model=model, optimizer=optimizer), or "
            "ModelCheckpoint(save_weights_only=True) of a compiled model."
        )


def is_storage_gone(error: BaseException) -> bool:
    """Tell whether the error comes from a dead FUSE mount, also where a library wrapped it."""
    chain: BaseException | None = error
    while chain is not None:
        if getattr(chain, "errno", None) == errno.ENOTCONN or "endpoint is not connected" in str(chain):
            return True
        chain = chain.__cause__ or chain.__context__
    return False


def require_storage(error: BaseException, place: str = "The storage") -> None:
    """Let an error pass that does not come from a dead mount.

    Raises StorageGoneError: it does, so that no process of this pod can read `place` again.
    """
    if is_storage_gone(error):
        raise StorageGoneError(f"{place} has died: {first_line(error)}") from error


def first_line(error: BaseException, limit: int = 500) -> str:
    """Return the error's class and the line of its message that tells the cause, bounded for a status field."""
    return cause_in(type(error).__name__, str(error))[:limit]
