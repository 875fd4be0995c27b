"""Golden manifests: for each resource in `resources/`, what the operator creates for it, in `manifests/`.

`PYTHONPATH=tests python -m golden` writes the manifests again; a unit test fails while they differ from what the code
renders, so that a review shows every change of a pod. Contract tests parse the arguments in the manifests with the
evaluator's own command line.
"""

from collections.abc import Iterator
from pathlib import Path

import yaml

from sidecar_operator import manifests
from sidecar_operator.kube_objects import JsonObject
from sidecar_operator.resource_view import SidecarEvaluation

FOLDER = Path(__file__).resolve().parent
RESOURCES = FOLDER / "resources"
MANIFESTS = FOLDER / "manifests"
DEFAULT_IMAGE = "sidecar-evaluator:dev"


def cases() -> list[str]:
    """Return the names of the resources, without `.yaml`."""
    return sorted(path.stem for path in RESOURCES.glob("*.yaml"))


def resource(case: str) -> JsonObject:
    """Return a resource, as the API server would hand it out."""
    loaded: JsonObject = yaml.safe_load((RESOURCES / f"{case}.yaml").read_text())
    return loaded


def rendered(case: str) -> str:
    """Return the manifests that the operator applies for a resource, as YAML."""
    children = manifests.render(SidecarEvaluation(resource(case)), DEFAULT_IMAGE)
    return yaml.dump_all([*children.identity, children.job], sort_keys=False, width=120, Dumper=_Dumper)


def outdated() -> list[str]:
    """Return the cases whose manifests differ from what is rendered now, and manifests without a case."""
    stored = {path.stem: path.read_text() for path in MANIFESTS.glob("*.yaml")}
    fresh = {case: rendered(case) for case in cases()}
    return sorted(name for name in stored.keys() | fresh.keys() if stored.get(name) != fresh.get(name))


def regenerate() -> Iterator[Path]:
    """Write the manifests of every resource, remove those without one, and yield what was written."""
    for superfluous in set(MANIFESTS.glob("*.yaml")) - {MANIFESTS / f"{case}.yaml" for case in cases()}:
        superfluous.unlink()
    for case in cases():
        path = MANIFESTS / f"{case}.yaml"
        path.write_text(rendered(case))
        yield path


class _Dumper(yaml.SafeDumper):
    """Writes a value in full each time, instead of an alias for one that was written before."""

    def ignore_aliases(self, data: object) -> bool:
        return True
