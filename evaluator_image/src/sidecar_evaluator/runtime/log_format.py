"""Escapes untrusted text, such as file names, before it is logged or printed.

Whoever writes to the checkpoint directory chooses the file names: without escaping, a newline in one would
forge a log line, and an escape sequence would reach the terminal. The command line uses it for everything
that it logs and prints.
"""

import logging


def plain(text: str) -> str:
    """Return the text with every character escaped that is not printable."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


class PlainFormatter(logging.Formatter):
    """Formats each message as one line of printable text; a traceback follows it unchanged."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the base class's name
        """Return the formatted line of the record."""
        record.message = plain(record.message)
        return super().formatMessage(record)
