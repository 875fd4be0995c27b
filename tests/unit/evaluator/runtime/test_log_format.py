"""File names chosen by others can forge neither a log line nor a table row."""

import logging
import sys

import pytest

from sidecar_evaluator.runtime.log_format import PlainFormatter, plain


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ckpt-7 übung", "ckpt-7 übung"),
        ("ckpt\n2026-01-01 INFO all is well", r"ckpt\n2026-01-01 INFO all is well"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("invalid \udcff", r"invalid \udcff"),
    ],
)
def test_what_cannot_be_printed_is_escaped(text: str, expected: str) -> None:
    assert plain(text) == expected


def test_a_record_is_one_line_and_its_traceback_stays() -> None:
    try:
        raise ValueError("odd")
    except ValueError:
        record = logging.LogRecord("x", logging.INFO, "", 1, "a %s", ("b\nc",), sys.exc_info())
    first, *traceback_lines = PlainFormatter("%(levelname)s %(message)s").format(record).splitlines()
    assert first == r"INFO a b\nc"
    assert traceback_lines[-1] == "ValueError: odd"
