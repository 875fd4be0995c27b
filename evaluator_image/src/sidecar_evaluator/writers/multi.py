"""Several sinks as one: each gets every report, whatever the others do."""

import logging
import threading
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic

from sidecar_evaluator.writers.interface import Report, Writer

_log = logging.getLogger(__name__)


class MultiWriter:
    """Writes to each writer in turn; an exception in one is logged and stops no other."""

    def __init__(self, writers: Sequence[Writer]) -> None:
        self._writers = writers
        self._lock = threading.Lock()

    def write(self, report: Report) -> None:
        """Give the report to every writer."""
        with self._lock:
            for writer in self._writers:
                _guarded(partial(writer.write, report))

    def flush(self, timeout: float) -> bool:
        """Flush every writer within one common limit; return whether all have written everything."""
        deadline = monotonic() + timeout
        flushed = [_guarded(partial(_flush_until, writer, deadline)) for writer in self._writers]
        return all(flushed)

    def close(self) -> None:
        """Close every writer."""
        for writer in self._writers:
            _guarded(writer.close)


def _guarded(action: Callable[[], object]) -> object:
    """Return what the action returns, False if it raises."""
    try:
        return action()
    except Exception:
        _log.exception("A writer failed; the others go on.")
        return False


def _flush_until(writer: Writer, deadline: float) -> bool:
    return writer.flush(max(deadline - monotonic(), 0.0))
