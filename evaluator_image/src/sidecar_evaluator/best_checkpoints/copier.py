"""Copying the best in the background, so that the next evaluation need not wait for the disk.

The loop hands over each new best and goes on. Writing weights from memory needs the model, which
only the loop's thread may use: such a request ends the loop's wait, and is served when the loop calls
`serve` between two evaluations, or `reconcile` at the end. At most one best waits while another is
copied, so that few checkpoints' weights are held.
"""

import threading
from collections.abc import Callable
from pathlib import Path

from sidecar_evaluator.best_checkpoints.sources import Export
from sidecar_evaluator.best_checkpoints.store import BestCheckpointStore
from sidecar_evaluator.checkpoints.interface import Checkpoint
from sidecar_evaluator.results.outcome import Outcome


class _Request:
    """An export that the copying thread has asked for, and how it ended."""

    def __init__(self, export: Export, path: Path) -> None:
        self._export, self._path = export, path
        self._error: BaseException | None = None
        self._done = threading.Event()

    def run(self) -> None:
        """Do it, in the loop's thread."""
        try:
            self._export(self._path)
        except Exception as error:
            self._error = error
        finally:
            self._done.set()

    def wait(self) -> None:
        """Wait for it, in the copying thread; raise what it raised."""
        self._done.wait()
        if self._error:
            raise self._error


class BestCheckpointCopier:
    """Copies with `store` in a thread of its own; its methods belong to the loop's thread.

    `wake` is called from the copying thread when `serve` has something to do.
    """

    def __init__(self, store: BestCheckpointStore, wake: Callable[[], None] = lambda: None) -> None:
        self._store = store
        self._wake = wake
        self._changed = threading.Condition()
        self._waiting: Callable[[], object] | None = None
        self._busy = False
        self._request: _Request | None = None
        self._started = False

    def keep(self, checkpoint: Checkpoint, outcome: Outcome, export: Export) -> None:
        """Have a new best copied; wait first where another one is still waiting."""
        self._serve_until(lambda: self._waiting is None)
        with self._changed:
            self._waiting = lambda: self._store.keep(checkpoint, outcome, lambda path: self._ask(export, path))
            self._changed.notify_all()
        if not self._started:
            self._started = True
            threading.Thread(target=self._work, name="best", daemon=True).start()

    def serve(self) -> None:
        """Write weights from memory if a copy needs that; call it while the model is not in use."""
        with self._changed:
            request, self._request = self._request, None
        if request:
            request.run()

    def finish(self) -> None:
        """Wait until everything handed over is copied, or has failed to be."""
        self._serve_until(lambda: self._waiting is None and not self._busy)

    def reconcile(self, best: Outcome | None, find: Callable[[str], Checkpoint | None]) -> None:
        """Wait for the copies under way, then copy the best if it has no copy; see `BestCheckpointStore`."""
        self.finish()
        self._store.reconcile(best, find)

    def _serve_until(self, condition: Callable[[], bool]) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: condition() or self._request)
                if condition():
                    return
            self.serve()

    def _ask(self, export: Export, path: Path) -> None:
        request = _Request(export, path)
        with self._changed:
            self._request = request
            self._changed.notify_all()
        self._wake()
        request.wait()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                task, self._waiting, self._busy = self._waiting, None, True
                self._changed.notify_all()
            if task:
                task()
            task = None  # lets go of the weights
            with self._changed:
                self._busy = False
                self._changed.notify_all()
