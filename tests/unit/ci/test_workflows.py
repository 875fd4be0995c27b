import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from unit.ci.commands import ACTIONS, ROOT, WORKFLOWS, called_targets, jobs, load, make_targets, steps

EACH_WORKFLOW = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
EACH_FILE = pytest.mark.parametrize("path", [*WORKFLOWS, *ACTIONS], ids=lambda path: path.parent.name + "/" + path.name)


def run_lines(path: Path) -> list[str]:
    return [line for step in steps(path) for line in step.get("run", "").splitlines()]


def triggers(path: Path) -> Any:
    return load(path)[True]  # YAML 1.1 reads the key `on` as a boolean


def test_there_are_workflows() -> None:
    assert [path.name for path in WORKFLOWS] == ["ci.yml"]


@EACH_FILE
def test_every_command_is_a_target_of_the_makefile(path: Path) -> None:
    for line in run_lines(path):
        targets = called_targets(line)
        assert targets, f"{line!r} is no call of make"
        assert set(targets) <= make_targets()


@EACH_WORKFLOW
def test_no_workflow_may_do_more_than_read(path: Path) -> None:
    assert load(path)["permissions"] == {"contents": "read"}
    assert not [name for name, job in jobs(path).items() if "permissions" in job]
    assert "pull_request_target" not in triggers(path)


@EACH_WORKFLOW
def test_every_job_has_a_limit_of_time(path: Path) -> None:
    assert {name: job.get("timeout-minutes") for name, job in jobs(path).items() if "timeout-minutes" not in job} == {}


@EACH_WORKFLOW
def test_a_newer_push_of_a_pull_request_ends_the_run_of_the_older(path: Path) -> None:
    concurrency = load(path)["concurrency"]
    assert "github.ref" in concurrency["group"]
    assert concurrency["cancel-in-progress"] == "${{ github.event_name == 'pull_request' }}"


@EACH_FILE
def test_actions_are_pinned_by_commit_with_their_version_beside(path: Path) -> None:
    uses = re.findall(r"^\s*-? *uses: (.*)$", path.read_text(), re.MULTILINE)
    assert len(uses) == len([step for step in steps(path) if "uses" in step]) > 0
    for action in uses:
        assert re.fullmatch(r"\./\.github/actions/[\w-]+|[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


@EACH_WORKFLOW
def test_local_actions_exist(path: Path) -> None:
    for step in steps(path):
        if step.get("uses", "").startswith("./"):
            assert (ROOT / step["uses"] / "action.yml").is_file()


@EACH_WORKFLOW
def test_no_token_stays_in_the_checkout(path: Path) -> None:
    checkouts = [step for step in steps(path) if step.get("uses", "").startswith("actions/checkout@")]
    assert len(checkouts) == len(jobs(path))
    assert all(step["with"] == {"persist-credentials": False} for step in checkouts)


def test_ci_runs_all_that_the_readmes_test_command_runs() -> None:
    (suites,) = re.findall(r"^SUITES := ([a-z0-9 -]+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    called = {target for line in run_lines(ROOT / ".github/workflows/ci.yml") for target in called_targets(line) or []}
    assert set(suites.split()) <= called


def test_unit_tests_run_on_every_python_that_the_project_supports() -> None:
    unit = jobs(ROOT / ".github/workflows/ci.yml")["unit"]
    bounds = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    low, high = (int(minor) for minor in re.findall(r"3\.(\d+)", bounds))
    assert bounds == f">=3.{low},<3.{high}"
    assert unit["strategy"]["matrix"]["python-version"] == [f"3.{minor}" for minor in range(low, high)]


def test_the_caches_key_has_what_the_builds_are_keyed_by() -> None:
    (cache,) = [step for step in steps(ACTIONS[0]) if step["uses"].startswith("actions/cache@")]
    patterns = re.findall(r"'([^']+)'", cache["with"]["key"])
    assert patterns == ["tests/cluster/go/**", "tests/cluster/programs.py", "tests/cluster/toolchain.py"]
    assert all(list(ROOT.glob(pattern)) for pattern in patterns)
