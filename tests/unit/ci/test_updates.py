"""Updates of dependencies: their configuration names what exists, and every pin has one place."""

import json
import re
import tomllib

from unit.ci.commands import ROOT

RENOVATE = json.loads((ROOT / ".github/renovate.json").read_text())


def rules(manager: str) -> list[dict[str, object]]:
    return [rule for rule in RENOVATE["packageRules"] if manager in rule["matchManagers"]]


def test_the_build_tools_are_updated_in_the_lock_and_not_where_they_are_generated() -> None:
    assert RENOVATE["pip_requirements"]["enabled"] is False
    (rule,) = [rule for rule in rules("pep621") if rule["groupName"] == "build tools"]
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    assert rule["matchPackageNames"] == sorted(
        line.split(">=")[0] for group in ("build", "uv") for line in groups[group]
    )


def test_the_programs_of_the_cluster_are_updated_although_they_count_as_indirect() -> None:
    (rule,) = [rule for rule in rules("gomod") if rule.get("matchDepTypes") == ["indirect"]]
    tools = {
        tool
        for path in ROOT.glob("tests/cluster/go/*/go.mod")
        for tool in re.findall(r"^(?:tool |\t)([^\s(]+)$", path.read_text(), re.MULTILINE)
        if not tool.startswith(("k8s.io/kubernetes/", "go.etcd.io/etcd/"))
    }
    packages = rule["matchPackageNames"]
    assert isinstance(packages, list)
    assert {name for name in packages if not any(tool.startswith(name) for tool in tools)} == set()
    assert {tool for tool in tools if not any(tool.startswith(name) for name in packages)} == set()


def test_new_versions_wait_a_week_wherever_they_come_from() -> None:
    uv = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]
    assert RENOVATE["minimumReleaseAge"] == uv["exclude-newer"] == "7 days"


def test_the_makefile_takes_uvs_version_from_its_pin() -> None:
    (pin,) = re.findall(r"^uv==(\d+\.\d+\.\d+) ", (ROOT / "operator/uv.txt").read_text(), re.MULTILINE)
    assert pin not in (ROOT / "Makefile").read_text()
