import re
from pathlib import Path

import pytest

from checks.__main__ import main
from checks.settings import ROOT, Limits

PYPROJECT = """
[tool.sidecar-checks]
max-file-lines = 5
max-function-lines = 3
max-function-median = 3
max-function-90-percent = 3
vague-names = ["vague"]

[tool.sidecar-checks.distributions]
project = {folder = "project", max-vague-names = 1}
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    (tmp_path / "project").mkdir()
    return tmp_path


def write(tree: Path, text: str) -> None:
    (tree / "project/module.py").write_text(f'"""A module."""\n{text}')


def test_a_clean_tree(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tree, "vague = 1\n")
    assert main([], tree) == 0
    figures = "0 functions of 0 lines (median), 0 (90 %), 0 (longest); longest file 2"
    assert capsys.readouterr().out == f"project: {figures}; vague names 1 of 1\n"


def test_a_violation_is_said_with_file_and_line(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tree, "def f():\n" + "    f()\n" * 3)
    assert main([], tree) == 1
    assert capsys.readouterr().out.startswith("project/module.py:2: `f` has 4 lines, at most 3")


def test_a_ceiling_that_can_fall_is_said(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tree, "x = 1\n")
    assert main([], tree) == 0
    assert capsys.readouterr().out.endswith("vague names 0 of 1: lower max-vague-names in pyproject.toml to 0\n")


def test_vague_names_can_be_listed(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tree, "vague = 1\n")
    assert main(["--names"], tree) == 0
    assert capsys.readouterr().out == "project/module.py:2: `vague` is vague: name the value for what it is\n"


def test_the_projects_own_limits_are_read() -> None:
    limits = Limits.from_pyproject()
    (checked,) = re.findall(r"^CHECKED := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {row.folder for row in limits.distributions} == set(checked.split())
    assert all((ROOT / row.folder).is_dir() for row in limits.distributions)


@pytest.mark.parametrize("limit", ["max-file-lines", "max-function-lines"])
def test_a_limit_that_is_misspelt_or_missing_is_an_error(tree: Path, limit: str) -> None:
    path = tree / "pyproject.toml"
    path.write_text(PYPROJECT.replace(limit, f"{limit}s"))
    with pytest.raises(TypeError, match="unexpected keyword"):
        main([], tree)
    path.write_text("\n".join(line for line in PYPROJECT.splitlines() if not line.startswith(limit)))
    with pytest.raises(TypeError, match="missing"):
        main([], tree)
