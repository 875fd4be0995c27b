"""The rules: what of a distribution's files breaks a limit, and what to do about it.

Called by the command line with parsed files; pure, so that tests need no files. Lengths are rules of one file or
function, median and 90 % rules of a distribution, and vague names are counted against a ceiling that only falls.
"""

import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from checks.settings import Distribution, Limits
from checks.source import Source

FEWEST_FUNCTIONS = 20
"""Of fewer functions than these, a median says nothing."""


@dataclass(frozen=True)
class Finding:
    """One violation: where it is and what to do."""

    path: Path
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


@dataclass(frozen=True)
class Figures:
    """The figures of a distribution."""

    functions: int
    median: float
    percent_90: int
    longest_function: int
    longest_file: int
    vague_names: int

    @classmethod
    def of(cls, sources: Sequence[Source], limits: Limits) -> "Figures":
        """Measure the files of a distribution; zeros where it has none."""
        lengths = sorted(function.lines for source in sources for function in source.functions) or [0]
        return cls(
            functions=sum(len(source.functions) for source in sources),
            median=statistics.median(lengths),
            percent_90=lengths[math.ceil(0.9 * len(lengths)) - 1],
            longest_function=lengths[-1],
            longest_file=max((source.lines for source in sources), default=0),
            vague_names=sum(1 for _ in vague_names(sources, limits)),
        )


Rule = Callable[[Sequence[Source], Distribution, Limits], Iterable[Finding]]


def violations(sources: Sequence[Source], distribution: Distribution, limits: Limits) -> list[Finding]:
    """Return what breaks a rule, rule by rule."""
    return [finding for rule in RULES for finding in rule(sources, distribution, limits)]


def vague_names(sources: Iterable[Source], limits: Limits) -> Iterator[Finding]:
    """Yield every binding of a name that does not say what its value is."""
    for source in sources:
        for binding in source.bindings:
            if binding.name in limits.vague_names:
                yield Finding(source.path, binding.line, f"`{binding.name}` is vague: name the value for what it is")


def _long_files(sources: Sequence[Source], _: Distribution, limits: Limits) -> Iterator[Finding]:
    for source in sources:
        if source.lines > limits.max_file_lines:
            advice = "split it by subject"
            yield Finding(source.path, 1, f"{source.lines} lines, at most {limits.max_file_lines}: {advice}")


def _long_functions(sources: Sequence[Source], _: Distribution, limits: Limits) -> Iterator[Finding]:
    for source in sources:
        for function in source.functions:
            if function.lines > limits.max_function_lines:
                size = f"`{function.name}` has {function.lines} lines, at most {limits.max_function_lines}"
                yield Finding(source.path, function.line, f"{size}: give its steps functions of their own")


def _undocumented(sources: Sequence[Source], _: Distribution, __: Limits) -> Iterator[Finding]:
    for source in sources:
        if not source.documented and not source.is_test:
            yield Finding(source.path, 1, "no module docstring: say what it is for, who calls it, what it must not do")


def _spread(sources: Sequence[Source], distribution: Distribution, limits: Limits) -> Iterator[Finding]:
    figures, folder = Figures.of(sources, limits), Path(distribution.folder)
    if figures.functions < FEWEST_FUNCTIONS:
        return
    if figures.median > limits.max_function_median:
        size = f"half of all functions have more than {figures.median:g} lines, the limit is"
        yield Finding(folder, 0, f"{size} {limits.max_function_median}: split the longest")
    if figures.percent_90 > limits.max_function_90_percent:
        size = f"the longest tenth of all functions begins at {figures.percent_90} lines, the limit is"
        yield Finding(folder, 0, f"{size} {limits.max_function_90_percent}: split the longest")


def _vague_names(sources: Sequence[Source], distribution: Distribution, limits: Limits) -> Iterator[Finding]:
    bindings = list(vague_names(sources, limits))
    if len(bindings) > distribution.max_vague_names:
        yield from bindings
        size = f"{len(bindings)} bindings of vague names, at most {distribution.max_vague_names}"
        yield Finding(Path(distribution.folder), 0, f"{size}: rename the new ones")


RULES: tuple[Rule, ...] = (_long_files, _long_functions, _undocumented, _spread, _vague_names)
