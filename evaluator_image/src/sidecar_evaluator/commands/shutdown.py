"""Ending the process although its main thread hangs: past a deadline, or in one batch after SIGTERM.

`run` starts these in threads. What was settled is published first; nothing else may be waited for.
"""

import logging
import os
import threading

from sidecar_evaluator.commands.session import Session
from sidecar_evaluator.errors import ExitCode
from sidecar_evaluator.loop import Loop

GRACE_SECONDS = 4.0  # after SIGTERM, for the batch in hand
_WATCHDOG_SECONDS = 0.5


def watch_deadline(session: Session, loop: Loop) -> None:
    """End the process when an evaluation is overdue: nothing else stops a hanging one."""
    while not session.stop.wait(_WATCHDOG_SECONDS):
        if session.heartbeat.is_overdue():
            loop.abandon()
            _leave(session, ExitCode.ERROR)


def end_after_grace(session: Session) -> None:
    """End the process although its main thread is stuck in one batch."""
    threading.Event().wait(GRACE_SECONDS)
    _leave(session, ExitCode.TERMINATED)


def _leave(session: Session, code: ExitCode) -> None:
    session.writers.flush()
    logging.shutdown()
    os._exit(code)
