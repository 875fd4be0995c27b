"""Tells an error of the model's own code from one of a checkpoint's files, which another read may not meet.

The formats run in `code_of_model` whatever calls the user's layers while a checkpoint is read, also where a file
is open; `snapshot` takes every other error for one of the files. Nothing may be read from a file within it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sidecar_evaluator.errors import CheckpointError, ModelCodeError, first_line


@contextmanager
def code_of_model() -> Iterator[None]:
    """Run code of the entry point's model; also a decorator of functions that do nothing else.

    Raises ModelCodeError: the code raised.
    """
    try:
        yield
    except CheckpointError:
        raise
    except (Exception, SystemExit) as error:
        raise ModelCodeError(
            f"The code of the entry point's model raised {first_line(error)}, which no checkpoint causes; "
            "`sidecar-evaluator check` shows where."
        ) from error
