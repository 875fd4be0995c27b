"""Progress is seen once, whatever the program has made of logging; the loggers here are a tree of their own."""

import logging
import sys
from collections.abc import Callable, Iterator

import pytest

from sidecar_evaluator.runtime.console_log import shown_on_console

PROGRAM, OURS = "a-program", "a-program.evaluator"


@pytest.fixture(autouse=True)
def program() -> Iterator[logging.Logger]:
    """The top of the tree: like the root of a program, which shows warnings unless it is told otherwise."""
    top, ours = logging.getLogger(PROGRAM), logging.getLogger(OURS)
    top.parent = None
    top.setLevel(logging.WARNING)
    yield top
    for logger in (top, ours):
        logger.handlers.clear()
        logger.setLevel(logging.NOTSET)


def untouched(_program: logging.Logger) -> None:
    pass


def after_one_warning(program: logging.Logger) -> None:
    program.addHandler(logging.StreamHandler(sys.stderr))


def at_info(program: logging.Logger) -> None:
    after_one_warning(program)
    program.setLevel(logging.INFO)


def handler_of_warnings(program: logging.Logger) -> None:
    after_one_warning(program)
    program.handlers[0].setLevel(logging.WARNING)


def handler_of_something_else(program: logging.Logger) -> None:
    at_info(program)
    program.handlers[0].addFilter(logging.Filter("another"))


def null_handler(program: logging.Logger) -> None:
    program.addHandler(logging.NullHandler())


def handler_of_its_own(_program: logging.Logger) -> None:
    logger = logging.getLogger(OURS)
    logger.addHandler(logging.StreamHandler(sys.stderr))
    logger.setLevel(logging.INFO)


@pytest.mark.parametrize(
    "set_up",
    [
        untouched,
        after_one_warning,
        at_info,
        handler_of_warnings,
        handler_of_something_else,
        null_handler,
        handler_of_its_own,
    ],
)
def test_every_line_is_shown_exactly_once(
    set_up: Callable[[logging.Logger], None], program: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up(program)
    with shown_on_console(OURS):
        logging.getLogger(f"{OURS}.loop").info("accuracy=0.9")
        logging.getLogger(f"{OURS}.loop").warning("half-written")
    assert capsys.readouterr().err.splitlines() == ["accuracy=0.9", "half-written"]


def test_two_at_a_time_show_a_line_once(capsys: pytest.CaptureFixture[str]) -> None:
    with shown_on_console(OURS):
        with shown_on_console(OURS):
            logging.getLogger(OURS).info("both")
        logging.getLogger(OURS).info("one")
    assert capsys.readouterr().err.splitlines() == ["both", "one"]


def test_a_level_of_the_program_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    logging.getLogger(OURS).setLevel(logging.ERROR)
    with shown_on_console(OURS):
        logging.getLogger(OURS).info("not wanted")
    assert not capsys.readouterr().err


def test_afterwards_logging_is_as_before(program: logging.Logger) -> None:
    with shown_on_console(OURS):
        assert logging.getLogger(OURS).isEnabledFor(logging.INFO)
    assert (logging.getLogger(OURS).handlers, logging.getLogger(OURS).level) == ([], logging.NOTSET)
