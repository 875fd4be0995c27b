"""The table of docs/operations.md that says what happens to an evaluation: each row names a test that exists."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TABLE = (ROOT / "docs" / "operations.md").read_text().split("## What happens to the evaluation when")[1].split("\n#")[0]
ROWS = [line.strip("|").split("|") for line in TABLE.splitlines() if line.startswith("| ") and "happens |" not in line]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].strip() + row[1].strip())
def test_every_row_names_a_test(row: list[str]) -> None:
    assert len(row) == 4
    references = re.findall(r"`([^`]+)::([^`]+)`", row[3])
    assert references
    for file, name in references:
        module = ast.parse((ROOT / "tests" / file).read_text())
        functions = (ast.FunctionDef, ast.AsyncFunctionDef)
        assert name in {node.name for node in module.body if isinstance(node, functions)}
