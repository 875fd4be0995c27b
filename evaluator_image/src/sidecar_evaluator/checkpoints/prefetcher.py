"""Reading ahead: the next checkpoint goes into host memory while the current one is evaluated.

The loop opens `ahead` around an evaluation and afterwards takes what was read. What was read ahead is
used only for a checkpoint with the very same files; any other is read by `take`. Nothing is read
ahead for which memory is short. It evaluates nothing and settles nothing.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from time import monotonic

from sidecar_evaluator.checkpoints.interface import Checkpoint, Weights
from sidecar_evaluator.checkpoints.reader import require_complete

_log = logging.getLogger(__name__)

_FIRST_PAUSE = 0.25
_SHARE_OF_TIME_READING = 0.25  # under Latest what was read ahead may be passed over by something newer


class Prefetcher:
    """Reads checkpoints with `read` while a block is open; `has_room` is asked before each for its bytes.

    `last_size` is the size of the last weights taken, in bytes; 0 before the first.
    """

    def __init__(
        self,
        read: Callable[[Checkpoint], Weights],
        has_room: Callable[[int], bool] = lambda _size: True,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._read = read
        self._has_room = has_room
        self._clock = clock
        self._lock = threading.Lock()
        self._reads: dict[object, Future[Weights]] = {}
        self.last_size = 0

    @contextmanager
    def ahead(self, upcoming: Callable[[], list[Checkpoint]]) -> Iterator[None]:
        """Read what `upcoming` returns, and what it returns later on, until the block is left."""
        finished = threading.Event()
        thread = threading.Thread(target=self._keep_reading, args=(upcoming, finished), name="ahead", daemon=True)
        thread.start()
        try:
            yield
        finally:
            finished.set()

    def holds(self, checkpoint: Checkpoint) -> bool:
        """Tell whether the checkpoint has been read whole."""
        with self._lock:
            reading = self._reads.get(checkpoint.version)
        return reading is not None and reading.done() and reading.exception() is None

    def take(self, checkpoint: Checkpoint) -> Weights:
        """Return the weights: those read ahead, even if the checkpoint was deleted since, or read now.

        Raises what `read` raised ahead, or raises now, and what `require_complete` raises.
        """
        if not self.holds(checkpoint):
            require_complete(checkpoint)
        with self._lock:
            reading = self._reads.pop(checkpoint.version, None)
        return self._measured(self._read(checkpoint) if reading is None else reading.result())

    def forget_all_but(self, wanted: list[Checkpoint]) -> None:
        """Drop what was read of other checkpoints than these."""
        kept = {checkpoint.version for checkpoint in wanted}
        with self._lock:
            for version in self._reads.keys() - kept:
                del self._reads[version]

    def _keep_reading(self, upcoming: Callable[[], list[Checkpoint]], finished: threading.Event) -> None:
        pause = _FIRST_PAUSE
        while not finished.is_set():
            began = self._clock()
            try:
                if self._has_room(self.last_size):
                    self._read_ahead(upcoming(), finished)
            except Exception as error:  # the loop meets the same error, and decides what it means
                _log.debug("Looking ahead failed: %s", error)
            pause = max(pause, (self._clock() - began) / _SHARE_OF_TIME_READING)
            finished.wait(pause)

    def _read_ahead(self, wanted: list[Checkpoint], finished: threading.Event) -> None:
        self.forget_all_but(wanted)
        for checkpoint in wanted:
            if finished.is_set() or not self._has_room(self.last_size):
                return
            with self._lock:
                is_new = checkpoint.version not in self._reads
                reading = self._reads.setdefault(checkpoint.version, Future())
            if is_new:
                self._read_into(reading, checkpoint)

    def _read_into(self, reading: Future[Weights], checkpoint: Checkpoint) -> None:
        try:
            reading.set_result(self._read(checkpoint))
        except (Exception, SystemExit) as error:  # the user's code may end the process
            reading.set_exception(error)

    def _measured(self, weights: Weights) -> Weights:
        self.last_size = weights.size
        return weights
