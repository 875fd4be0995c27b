"""How the pods of a training are found: the label that the controller of its kind puts on them.

`manifests` places the evaluator beside them by it, `reconcile` looks by it why a training waits. Pure. For a kind that
is not listed nothing is placed and nothing is looked up; everything else works as well.
"""

from typing import NamedTuple

from sidecar_operator.resource_view import TrainingRef


class PodLabel(NamedTuple):
    """A label that all pods of a training have, and no other pod of the namespace."""

    key: str
    value: str

    def __str__(self) -> str:
        return f"{self.key}={self.value}"


LONGEST_VALUE = 63
"""Longest value of a label; a training with a longer name has no such label."""

LABELS = {
    "batch": "batch.kubernetes.io/job-name",
    "kubeflow.org": "training.kubeflow.org/job-name",
    "trainer.kubeflow.org": "jobset.sigs.k8s.io/jobset-name",  # a TrainJob's JobSet has its name
    "jobset.x-k8s.io": "jobset.sigs.k8s.io/jobset-name",
    "argoproj.io": "workflows.argoproj.io/workflow",
    "tekton.dev/PipelineRun": "tekton.dev/pipelineRun",
    "tekton.dev/TaskRun": "tekton.dev/taskRun",
    "batch.volcano.sh": "volcano.sh/job-name",
    "sparkoperator.k8s.io": "sparkoperator.k8s.io/app-name",
}
"""Key of the label by API group, or by group and kind."""


def label_of(ref: TrainingRef) -> PodLabel | None:
    """Return the label of the training's pods, None where none is known."""
    group = ref.api_version.rpartition("/")[0]
    key = LABELS.get(f"{group}/{ref.kind}") or LABELS.get(group)
    return PodLabel(key, ref.name) if key and len(ref.name) <= LONGEST_VALUE else None
