"""Labels and annotations of the evaluator's pod: what keeps meshes out, what the user adds, and the operator's own.

`manifests` renders them. Pure. A mesh's side container would not end with the evaluator, so it is not asked for unless
`spec.evaluator.podMetadata` does; the operator's own labels are never overridden.
"""

from typing import NamedTuple

from sidecar_operator.kube_objects import JsonObject

WITHOUT_MESH_LABELS = {"sidecar.istio.io/inject": "false", "kuma.io/sidecar-injection": "disabled"}
WITHOUT_MESH_ANNOTATIONS = {
    "sidecar.istio.io/inject": "false",
    "linkerd.io/inject": "disabled",
    "kuma.io/sidecar-injection": "disabled",
    "consul.hashicorp.com/connect-inject": "false",
}
"""What makes the usual meshes leave a pod alone; some look at labels, earlier versions of them at annotations."""


class PodMetadata(NamedTuple):
    """Labels and annotations."""

    labels: dict[str, str]
    annotations: dict[str, str]

    def to_json(self) -> JsonObject:
        """Return them as the metadata of a pod template."""
        return {"labels": self.labels, "annotations": self.annotations}


def pod_metadata(evaluator: JsonObject, own: PodMetadata) -> PodMetadata:
    """Return the metadata for `spec.evaluator`; `own` is what the operator itself relies on."""
    asked = evaluator.get("podMetadata", {})
    labels, annotations = asked.get("labels", {}), asked.get("annotations", {})
    decided = labels.keys() | annotations.keys()
    return PodMetadata(
        {**_undecided(WITHOUT_MESH_LABELS, decided), **labels, **own.labels},
        {**_undecided(WITHOUT_MESH_ANNOTATIONS, decided), **annotations, **own.annotations},
    )


def _undecided(defaults: dict[str, str], decided: set[str]) -> dict[str, str]:
    """Return the defaults for keys that the user has set neither as a label nor as an annotation."""
    return {name: value for name, value in defaults.items() if name not in decided}
