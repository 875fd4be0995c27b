"""The wait between two looks at the checkpoint directory, which ends as soon as something changes there.

The iterator reports after each look what it cost and then waits. On a local file system the kernel
reports changes; elsewhere, or where its limits are reached, the wait is as long as `poll_interval`
says. Nothing is listed here, and a wait that ended early only means that a look may show a change.
"""

import contextlib
import logging
import os
import select
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

from sidecar_evaluator.discovery.filesystems import FileSystem
from sidecar_evaluator.discovery.poll_interval import LONGEST, PollInterval

_log = logging.getLogger(__name__)

_SHORTEST_LOCAL, _SHORTEST_REMOTE = 0.02, 0.1
_LINGER_SECONDS = 60.0  # how long the thread of a closed waker may stay


class ChangeWaiter(Protocol):
    """What the iterator waits with."""

    def looked(self, seconds: float, newest: float | None) -> None:
        """Take note of a look: how long it took, and when the newest checkpoint that it saw was written."""

    def wait(self, longest: float) -> bool:
        """Wait for a change, at most `longest` seconds; return whether something may have changed."""


class Waker:
    """Ends a wait from another thread: by `wake`, or by the stop event, whose setting it passes on."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._readable, self._writable = os.pipe()
        os.set_blocking(self._readable, False)
        os.set_blocking(self._writable, False)
        self._lock = threading.Lock()
        self._closed = False
        threading.Thread(target=self._pass_on_stop, name="waker", daemon=True).start()

    def wake(self) -> None:
        """End the wait that is running, or the next one."""
        with self._lock, contextlib.suppress(BlockingIOError):  # full: the wait ends already
            if not self._closed:
                os.write(self._writable, b"!")

    def wait(self, seconds: float, *descriptors: int) -> bool:
        """Wait until it is woken or a descriptor can be read; return whether one of them happened."""
        if self._stop.is_set():
            return True
        poll = select.poll()
        for descriptor in (self._readable, *descriptors):
            poll.register(descriptor, select.POLLIN)
        readable = poll.poll(max(seconds, 0.0) * 1000)
        _drain(self._readable)
        return bool(readable)

    def close(self) -> None:
        """Let go of the descriptors."""
        with self._lock:
            if not self._closed:
                self._closed = True
                os.close(self._readable)
                os.close(self._writable)

    def _pass_on_stop(self) -> None:
        while not (self._closed or self._stop.wait(_LINGER_SECONDS)):
            pass
        self.wake()


class InotifyEvents:
    """The kernel's events for one directory, or for the nearest one above it until it exists.

    Raises OSError: a limit of the kernel is reached, or a directory may not be watched.
    """

    def __init__(self, path: Path) -> None:
        from inotify_simple import INotify, flags

        below = flags.CREATE | flags.MOVED_TO
        gone = flags.DELETE_SELF | flags.MOVE_SELF | flags.ONLYDIR
        change = below | flags.CLOSE_WRITE | flags.ATTRIB | flags.MOVED_FROM | flags.DELETE
        self._places = [(path, change | gone), *((above, below | gone) for above in path.absolute().parents)]
        self._inotify: Any = INotify(nonblocking=True)
        self._watch: int | None = None
        try:
            self.arm()
        except OSError:
            self.close()
            raise

    def arm(self) -> bool:
        """Watch what the path names now; return whether that is another directory than before."""
        watch = self._add_watch()
        changed = watch != self._watch
        if changed and self._watch is not None:
            with contextlib.suppress(OSError):  # it went with its directory
                self._inotify.rm_watch(self._watch)
        self._watch = watch
        return changed

    def fileno(self) -> int:
        """Return the descriptor that can be read once there are events."""
        return int(self._inotify.fileno())

    def drain(self) -> bool:
        """Forget the events so far; return whether there were any."""
        return _drain(self.fileno())

    def close(self) -> None:
        """End watching."""
        self._inotify.close()

    def _add_watch(self) -> int:
        for place, mask in self._places:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                return int(self._inotify.add_watch(place, mask))
        raise FileNotFoundError(self._places[-1][0])


class DirectoryWaiter:
    """Waits for changes of one directory: by `events` where there are any, else as often as `pace` says.

    Without events, `state` is compared every `pace.shortest` seconds between two looks: a cheap sign of
    a change such as the directory's own time, None where there is none.
    """

    def __init__(
        self,
        waker: Waker,
        pace: PollInterval,
        events: InotifyEvents | None = None,
        state: Callable[[], object] | None = None,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._waker, self._pace, self._events, self._state, self._now = waker, pace, events, state, now
        self._last_state = state() if state else None

    def looked(self, seconds: float, newest: float | None) -> None:
        """Take note of a look: how long it took, and when the newest checkpoint that it saw was written."""
        self._pace.record_poll(seconds, newest, self._now())

    def wait(self, longest: float) -> bool:
        """Wait for a change, at most `longest` seconds; return whether something may have changed.

        Ends as soon as the stop event is set or `wake` is called. Without a change it ends by itself too, since
        some changes go unnoticed: after `poll_interval.LONGEST` at the latest.
        """
        if self._events:
            try:
                return self._wait_for_events(self._events, min(longest, LONGEST))
            except OSError as error:
                _log.warning("The checkpoints can no longer be watched, so that they are listed instead: %s", error)
                self._events.close()
                self._events = None
        return self._poll(min(longest, self._pace.poll_seconds(self._now())))

    def wake(self) -> None:
        """End the wait that is running, or the next one, from any thread."""
        self._waker.wake()

    def close(self) -> None:
        """Let go of descriptors and threads."""
        self._waker.close()
        if self._events:
            self._events.close()

    def _wait_for_events(self, events: InotifyEvents, longest: float) -> bool:
        is_new = events.arm()
        rest = min(self._pace.delay_seconds(self._now()), longest)
        if (rest and self._waker.wait(rest)) or is_new:
            return True
        woken = self._waker.wait(longest - rest, events.fileno())
        return events.drain() or woken

    def _poll(self, seconds: float) -> bool:
        until = self._now() + seconds
        while (left := until - self._now()) > 0:
            if self._waker.wait(min(left, self._pace.shortest) if self._state else left):
                return True
            if self._state and self._has_changed(self._state):
                return True
        return False

    def _has_changed(self, state: Callable[[], object]) -> bool:
        before, self._last_state = self._last_state, state()
        return before != self._last_state


def directory_waiter(path: Path, stop: threading.Event, file_system: FileSystem) -> DirectoryWaiter:
    """Return what fits the file system that the directory lies on, or will lie on once it exists."""
    waker = Waker(stop)
    if not file_system.is_local:
        _log.info("%s is listed to find checkpoints: %s reports no changes.", path, file_system.type)
        return DirectoryWaiter(waker, PollInterval(_SHORTEST_REMOTE))
    events = _events(path) if file_system.tells_changes else None
    return DirectoryWaiter(waker, PollInterval(_SHORTEST_LOCAL), events, partial(_state, path))


def _events(path: Path) -> InotifyEvents | None:
    try:
        return InotifyEvents(path)
    except OSError as error:
        _log.warning("%s cannot be watched, so that it is listed instead: %s", path, error)
        return None


def _state(path: Path) -> object:
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino, status.st_mtime_ns)


def _drain(descriptor: int) -> bool:
    """Read away what is there; return whether there was anything."""
    has_data = False
    with contextlib.suppress(BlockingIOError):
        while os.read(descriptor, 65536):
            has_data = True
    return has_data
