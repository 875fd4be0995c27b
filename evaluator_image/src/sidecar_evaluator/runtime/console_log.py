"""Shows the log on standard error wherever no handler of the program shows it, and never twice.

`SidecarEvaluator` opens `shown_on_console` around an evaluation. The program may have set up logging, or a
library may have done so without its knowing: `import orbax.checkpoint` and one `logging.warning` each leave a
handler at the root that shows warnings alone. A level that the program sets for the logger is kept. It must not
be used by the command line, which sets up logging itself.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


class _ConsoleHandler(logging.StreamHandler[TextIO]):
    """Writes what no other handler shows; of several of its kind the first one."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to write the record here."""
        handlers = list(_handlers_of(logging.getLogger(record.name)))
        first = next((handler for handler in handlers if isinstance(handler, _ConsoleHandler)), self)
        return (
            first is self and not any(_shows(handler, record) for handler in handlers) and bool(super().filter(record))
        )


@contextmanager
def shown_on_console(name: str) -> Iterator[None]:
    """Show the progress that a logger and those below it report until the block ends."""
    logger, handler = logging.getLogger(name), _ConsoleHandler(sys.stderr)
    level = logger.level
    logger.addHandler(handler)
    if level == logging.NOTSET and not logger.isEnabledFor(logging.INFO):
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        if not any(isinstance(left, _ConsoleHandler) for left in logger.handlers):
            logger.setLevel(level)


def _handlers_of(logger: logging.Logger) -> Iterator[logging.Handler]:
    current: logging.Logger | None = logger
    while current:
        yield from current.handlers
        current = current.parent if current.propagate else None


def _shows(handler: logging.Handler, record: logging.LogRecord) -> bool:
    if isinstance(handler, (_ConsoleHandler, logging.NullHandler)):
        return False
    return record.levelno >= handler.level and bool(handler.filter(record))
