"""Text that came from outside, such as the name of a file, as one harmless line for a log or a terminal.

Whoever writes to the checkpoint directory chooses names: a newline in one would forge a line of the
log, an escape sequence would reach the terminal. The command line uses it for all that it prints.
"""

import logging


def plain(text: str) -> str:
    """Return the text with everything escaped that cannot be printed."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


class PlainFormatter(logging.Formatter):
    """Formats records whose message is one line; a traceback follows it as it is."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the base class's name
        """Return the line of the record."""
        record.message = plain(record.message)
        return super().formatMessage(record)
