"""What one Python file holds: its length, its docstring, its functions and the names that it binds.

Called by the command line for every file; it parses text with `ast` and never imports it. A function's length is
counted from `def` to its last line, without its decorators and without its docstring.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Function:
    """A function or method."""

    name: str
    line: int
    lines: int


@dataclass(frozen=True)
class Binding:
    """A name that a statement or a comprehension binds; parameters and attributes of classes are none."""

    name: str
    line: int


@dataclass(frozen=True)
class Source:
    """The facts of one file; `path` is relative to the repository's root."""

    path: Path
    lines: int
    documented: bool
    """Whether it has a module docstring, or is empty."""
    functions: tuple[Function, ...]
    bindings: tuple[Binding, ...]

    @classmethod
    def parse(cls, path: Path, text: str) -> Self:
        """Parse the text of a file."""
        module = ast.parse(text, str(path))
        functions = (node for node in ast.walk(module) if isinstance(node, FunctionNode))
        return cls(
            path=path,
            lines=len(text.splitlines()),
            documented=not module.body or ast.get_docstring(module) is not None,
            functions=tuple(Function(node.name, node.lineno, _length(node)) for node in functions),
            bindings=tuple(sorted(_bindings(module, in_class=False), key=lambda binding: binding.line)),
        )

    @property
    def is_test(self) -> bool:
        """Whether pytest collects it, or reads it as configuration."""
        return self.path.name.startswith("test_") or self.path.name == "conftest.py"


def _length(function: FunctionNode) -> int:
    lines = _span(function)
    if ast.get_docstring(function, clean=False) is not None:
        lines -= _span(function.body[0])
    return lines


def _span(node: ast.stmt) -> int:
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1


def _bindings(node: ast.AST, *, in_class: bool) -> Iterator[Binding]:
    name = None if in_class else _bound_name(node)
    if name and isinstance(node, ast.expr | ast.excepthandler | ast.pattern):
        yield Binding(name, node.lineno)
    for child in ast.iter_child_nodes(node):
        if isinstance(child, FunctionNode | ast.Lambda | ast.ClassDef):
            yield from _bindings(child, in_class=isinstance(child, ast.ClassDef))
        else:
            yield from _bindings(child, in_class=in_class)


def _bound_name(node: ast.AST) -> str | None:
    match node:
        case ast.Name(id=name, ctx=ast.Store()):
            return name
        case ast.ExceptHandler(name=name) | ast.MatchAs(name=name) | ast.MatchStar(name=name):
            return name
        case ast.MatchMapping(rest=name):
            return name
    return None


def python_files(root: Path, folder: str) -> list[Path]:
    """Return the Python files below a folder, in order; hidden folders in it are left out."""
    base = root / folder
    paths = sorted(base.rglob("*.py"))
    return [path for path in paths if not any(part.startswith(".") for part in path.relative_to(base).parts)]


def read(root: Path, folder: str) -> list[Source]:
    """Read all files below a folder of the root."""
    return [Source.parse(path.relative_to(root), path.read_text()) for path in python_files(root, folder)]
