from pathlib import Path

import pytest

from release.__main__ import main


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n')
    (tmp_path / "README.md").write_text("sidecar-operator:1.2.2\n")
    return tmp_path


def test_checking_the_stamp_names_what_differs(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stamp", "--check"], tree) == 1
    assert capsys.readouterr().out == "README.md:1: 1.2.2 is not the project's version: run `make generate`\n"


def test_stamping_names_what_changed(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stamp"], tree) == 0
    assert capsys.readouterr().out == "README.md\n"
    assert main(["stamp", "--check"], tree) == 0


def test_a_check_asks_everything_and_says_what_is_wrong(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tree / "CHANGELOG.md").touch()
    assert main(["check", "--uv=/bin/false"], tree) == 1
    output = capsys.readouterr().out
    assert output.startswith("version 1.2.3\nok   the version is one of a release\nFAIL the version is the same")
    assert "\n     README.md:1: 1.2.2 instead of 1.2.3" in output
    assert "\nFAIL both distributions build, install and start\n" in output
    assert output.endswith("not ready\n")
