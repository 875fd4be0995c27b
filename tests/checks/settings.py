"""The limits, as pyproject.toml has them in `[tool.sidecar-checks]`.

Called by the command line and by tests. A table that lacks a limit, or has one that nobody reads, is an error:
a misspelt limit must not switch a rule off.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Distribution:
    """A folder of Python files with figures of its own."""

    name: str
    folder: str
    max_vague_names: int
    """How many bindings of vague names are tolerated; it is lowered as they are renamed, never raised."""


@dataclass(frozen=True)
class Limits:
    """What `rules` compares with."""

    max_file_lines: int
    max_function_lines: int
    max_function_median: int
    max_function_90_percent: int
    vague_names: frozenset[str]
    distributions: tuple[Distribution, ...]

    @classmethod
    def from_pyproject(cls, path: Path = ROOT / "pyproject.toml") -> Self:
        """Read the table of a pyproject.toml."""
        return cls.from_table(tomllib.loads(path.read_text())["tool"]["sidecar-checks"])

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Self:
        """Read a parsed table; TypeError names a limit that is missing or unknown."""
        values = {key.replace("-", "_"): value for key, value in table.items()}
        distributions = tuple(
            Distribution(name, **{key.replace("-", "_"): value for key, value in row.items()})
            for name, row in values.pop("distributions").items()
        )
        return cls(vague_names=frozenset(values.pop("vague_names")), distributions=distributions, **values)
