"""Turns SIGTERM and SIGINT into a stop event at once, even while the main thread runs TensorFlow code.

`commands.run` installs it at start. Python runs a signal handler only between two bytecodes of the main
thread, but writes to the wake-up file descriptor immediately; a thread that reads it sets the event.
"""

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def stop_on_signals(stop: threading.Event, on_stop: Callable[[], None]) -> None:
    """Set `stop` when the process receives SIGTERM or SIGINT, then call `on_stop` from a thread."""
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    for number in _SIGNALS:
        signal.signal(number, _ignore)

    def wait() -> None:
        while os.read(readable, 1)[0] not in _SIGNALS:
            pass
        stop.set()
        on_stop()

    threading.Thread(target=wait, name="signals", daemon=True).start()


def _ignore(number: int, frame: FrameType | None) -> None:
    """Do nothing: the thread handles the signal."""
