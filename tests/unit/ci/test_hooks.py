import re
import shlex

import pytest

from unit.ci.commands import ROOT, WORKFLOWS, called_targets, load, make_targets, steps

CONFIGURATION = load(ROOT / ".pre-commit-config.yaml")
HOOKS = [hook for repository in CONFIGURATION["repos"] for hook in repository["hooks"]]


def test_nothing_is_downloaded_by_a_hook() -> None:
    assert [repository["repo"] for repository in CONFIGURATION["repos"]] == ["local"]
    assert {hook["language"] for hook in HOOKS} == {"system"}


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook["id"])
def test_a_hook_is_a_make_target_or_a_locked_tool(hook: dict[str, str]) -> None:
    targets = called_targets(hook["entry"])
    if targets is None:
        program = shlex.split(hook["entry"])[0]
        assert program.startswith(".venv/bin/")
        assert (ROOT / program).is_file()
    else:
        assert targets
        assert set(targets) <= make_targets()


def test_ci_runs_what_the_hooks_run() -> None:
    lines = [line for path in WORKFLOWS for step in steps(path) for line in step.get("run", "").splitlines()]
    in_ci = {target for line in lines for target in called_targets(line) or []}
    in_hooks = {target for hook in HOOKS for target in called_targets(hook["entry"]) or []}
    assert in_hooks | {"hygiene"} <= in_ci


def test_hygiene_leaves_out_the_hooks_that_are_targets_of_their_own() -> None:
    (skipped,) = re.findall(r"SKIP=([a-z,]+) ", (ROOT / "Makefile").read_text())
    assert sorted(skipped.split(",")) == sorted(hook["id"] for hook in HOOKS if called_targets(hook["entry"]))
