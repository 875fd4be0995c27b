import re

import pytest

from unit.ci.commands import ROOT, called_targets, make_targets


@pytest.mark.parametrize(
    ("line", "targets"),
    [
        ("make lint types", ["lint", "types"]),
        ("make --no-print-directory lint CLUSTER=current", ["lint"]),
        ('sudo env "PATH=$PATH" make test-e2e SIDECAR_CACHE="$HOME/x"', ["test-e2e"]),
        ("make", []),
        ("sudo make lint", None),
        ("pytest tests", None),
        ("", None),
    ],
)
def test_which_targets_a_line_calls(line: str, targets: list[str] | None) -> None:
    assert called_targets(line) == targets


def test_the_script_of_ci_calls_targets_that_exist() -> None:
    lines = [line for line in (ROOT / ".ci/run").read_text().splitlines() if line.startswith("make")]
    assert [called_targets(line) for line in lines] == [["test"], ["cluster-down"]]
    assert {"test", "cluster-down"} <= make_targets()


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_documents_name_targets_that_exist(name: str) -> None:
    text = (ROOT / name).read_text()
    named = set(re.findall(r"^    make ([a-z0-9-]+)", text, re.MULTILINE)) | set(
        re.findall(r"`make ([a-z0-9-]+)`", text)
    )
    assert named
    assert named <= make_targets()


def test_every_target_is_phony_once() -> None:
    text = (ROOT / "Makefile").read_text()
    assert sorted(re.findall(r"^([a-z0-9-]+):(?!=)", text, re.MULTILINE)) == sorted(make_targets())
