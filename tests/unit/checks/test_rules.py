from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from checks.rules import FEWEST_FUNCTIONS, Figures, violations
from checks.settings import Distribution, Limits
from checks.source import Binding, Function, Source

LIMITS = Limits(
    max_file_lines=100,
    max_function_lines=20,
    max_function_median=5,
    max_function_90_percent=10,
    vague_names=frozenset({"vague"}),
    distributions=(),
)
DISTRIBUTION = Distribution("project", "folder", max_vague_names=1)
SOURCE = Source(Path("folder/a.py"), lines=100, documented=True, functions=(), bindings=())


def functions(*lengths: int) -> tuple[Function, ...]:
    return tuple(Function(f"f{number}", number + 1, lines) for number, lines in enumerate(lengths))


def messages(sources: Sequence[Source], distribution: Distribution = DISTRIBUTION) -> list[str]:
    return [str(finding) for finding in violations(sources, distribution, LIMITS)]


def test_what_is_just_within_the_limits_is_fine() -> None:
    bindings = (Binding("vague", 3), Binding("clear", 4))
    assert messages([replace(SOURCE, functions=functions(20), bindings=bindings)]) == []


def test_a_long_file() -> None:
    assert messages([replace(SOURCE, lines=101)]) == ["folder/a.py:1: 101 lines, at most 100: split it by subject"]


def test_a_long_function() -> None:
    advice = "give its steps functions of their own"
    assert messages([replace(SOURCE, functions=functions(3, 21))]) == [
        f"folder/a.py:2: `f1` has 21 lines, at most 20: {advice}"
    ]


def test_a_module_without_docstring_unless_it_is_a_test() -> None:
    (message,) = messages([replace(SOURCE, documented=False)])
    assert message.startswith("folder/a.py:1: no module docstring")
    assert messages([replace(SOURCE, documented=False, path=Path("folder/test_a.py"))]) == []


def test_functions_that_are_long_altogether() -> None:
    message_of_median, message_of_rest = messages([replace(SOURCE, functions=functions(*[6] * 17, 11, 11, 11))])
    assert message_of_median.startswith("folder:0: half of all functions have more than 6 lines")
    assert message_of_rest.startswith("folder:0: the longest tenth of all functions begins at 11 lines")


@pytest.mark.parametrize("long", [0, 1, 2])
def test_a_tenth_of_the_functions_may_be_longer(long: int) -> None:
    assert messages([replace(SOURCE, functions=functions(*[5] * (20 - long), *[20] * long))]) == []


def test_a_median_of_few_functions_says_nothing() -> None:
    assert messages([replace(SOURCE, functions=functions(*[20] * (FEWEST_FUNCTIONS - 1)))]) == []


def test_vague_names_above_the_ceiling_are_all_listed() -> None:
    bindings = (Binding("vague", 3), Binding("vague", 9))
    advice = "`vague` is vague: name the value for what it is"
    assert messages([replace(SOURCE, bindings=bindings)]) == [
        f"folder/a.py:3: {advice}",
        f"folder/a.py:9: {advice}",
        "folder:0: 2 bindings of vague names, at most 1: rename the new ones",
    ]
    assert messages([replace(SOURCE, bindings=bindings)], replace(DISTRIBUTION, max_vague_names=2)) == []


def test_figures() -> None:
    sources = [
        replace(SOURCE, functions=functions(*range(1, 10)), bindings=(Binding("vague", 1),)),
        replace(SOURCE, lines=7, functions=functions(10)),
    ]
    assert Figures.of(sources, LIMITS) == Figures(10, 5.5, 9, 10, 100, 1)
    assert Figures.of([], LIMITS) == Figures(0, 0, 0, 0, 0, 0)
