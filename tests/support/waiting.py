"""How tests wait: for the very thing that has to happen, with one generous deadline for what hangs.

Every test and its support code take their deadlines from here. A deadline only ends a test that would
never end: no test may depend on how long something takes, since the machine may be busy with other
things. How long something takes is measured in `benchmarks`.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FunctionType

DEADLINE = 300.0
"""Seconds after which something that takes a moment is taken to hang."""

CLUSTER_DEADLINE = 900.0
"""The same for what a whole node does: pull, schedule, start and stop pods."""

_PAUSE = 0.005


def until(
    condition: Callable[[], object],
    what: Callable[[], object] = lambda: "it does not happen",
    seconds: float = DEADLINE,
) -> None:
    """Wait until the condition holds; fail with `what()`, the state that was reached instead."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(_PAUSE)


def is_inside(thread: threading.Thread, function: Callable[..., object]) -> bool:
    """Tell whether the thread is in a call of this Python function at the moment."""
    assert isinstance(function, FunctionType)
    frame = sys._current_frames().get(thread.ident or 0)
    while frame and frame.f_code is not function.__code__:
        frame = frame.f_back
    return frame is not None


@contextmanager
def once_inside(function: Callable[..., object], action: Callable[[], object]) -> Iterator[None]:
    """Act in another thread as soon as this one is in a call of a Python function within the block."""
    caller = threading.current_thread()

    def act() -> None:
        until(lambda: is_inside(caller, function))
        action()

    acting = threading.Thread(target=act)
    acting.start()
    yield
    acting.join(DEADLINE)
    assert not acting.is_alive()
