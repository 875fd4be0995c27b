"""The pages that name modules, files and functions tell the truth: a rename must reach them."""

import importlib
import itertools
import re
from pathlib import Path
from typing import Any

import grimp
import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
DISTRIBUTIONS = {"sidecar_evaluator": "## The evaluator", "sidecar_operator": "## The operator"}
ALIASES = {"main": "__main__"}


def section(package: str) -> str:
    return PAGE.split(DISTRIBUTIONS[package])[1].split("\n## ")[0]


def diagram(package: str) -> str:
    drawn = re.search(r"```mermaid\n(.*?)```", section(package), re.DOTALL)
    assert drawn
    return drawn[1]


def arrows(package: str) -> set[tuple[str, str]]:
    """Return each arrow's ends: rooms of the evaluator, modules of the operator."""
    pairs = set()
    for line in diagram(package).splitlines():
        if "-->" not in line:
            continue
        stops = [re.sub(r"\[.*?\]", "", stop).split("&") for stop in line.split("-->")]
        names = [[ALIASES.get(name.strip(), name.strip()) for name in stop] for stop in stops]
        pairs |= {(a, b) for left, right in itertools.pairwise(names) for a in left for b in right}
    return pairs


@pytest.mark.parametrize("package", DISTRIBUTIONS)
def test_every_arrow_is_an_import(package: str) -> None:
    graph = grimp.build_graph(package, cache_dir=None)
    drawn = arrows(package)
    assert len(drawn) > 10
    wrong = [
        (source, importer)
        for source, importer in drawn
        if not any(
            graph.direct_import_exists(importer=importing, imported=imported)
            for importing in graph.modules
            if _is_in(importing, f"{package}.{importer}")
            for imported in graph.modules
            if _is_in(imported, f"{package}.{source}")
        )
    ]
    assert wrong == []


def _is_in(module: str, room: str) -> bool:
    return module == room or module.startswith(f"{room}.")


@pytest.mark.parametrize("package", DISTRIBUTIONS)
def test_every_module_is_in_the_picture(package: str) -> None:
    words = set(re.findall(r"\w+", diagram(package)))
    graph = grimp.build_graph(package, cache_dir=None)
    modules = {name.rpartition(".")[2] for name in graph.modules if name != package}
    assert modules - words <= {"causes", "errors", "options"}


def references() -> list[Any]:
    stops = [
        pytest.param(package, name, id=name)
        for package in DISTRIBUTIONS
        for row in section(package).splitlines()
        if row.startswith("| ")
        for name in re.findall(r"`((?:\w+\.)+\w+)`", row)
        if not name.endswith((".yaml", ".jsonl"))
    ]
    assert len(stops) > 40
    return stops


@pytest.mark.parametrize(("package", "reference"), references())
def test_every_function_in_the_stories_exists(package: str, reference: str) -> None:
    if reference.split(".", maxsplit=1)[0] in {"status", "spec"} and reference.split(".")[1] in {"results", "training"}:
        return  # a field of the resource
    parts = reference.split(".")
    for length in range(len(parts), 0, -1):
        try:
            value: Any = importlib.import_module(".".join([package, *parts[:length]]))
        except ModuleNotFoundError:
            continue
        for name in parts[length:]:
            value = getattr(value, name)
        return
    pytest.fail(f"{package} has no {reference}")


def test_the_files_that_contributing_sends_people_to_exist() -> None:
    table = CONTRIBUTING.split("## Where a change belongs")[1].split("\n## ")[0]
    rows = [row for row in table.splitlines() if row.startswith("| ")][1:]
    paths = [path for row in rows for path in re.findall(r"`([\w/]+[./][\w./]*)`", row.split("|")[2])]
    source = ROOT / "evaluator_image" / "src" / "sidecar_evaluator"
    assert len(rows) >= 10
    assert [path for path in paths if not (source / path).exists() and not (ROOT / path).exists()] == []
