import pytest

from sidecar_operator.resource_view import TrainingRef
from sidecar_operator.training_pods import label_of


@pytest.mark.parametrize(
    ("api_version", "kind", "label"),
    [
        ("batch/v1", "Job", "batch.kubernetes.io/job-name=train"),
        ("kubeflow.org/v1", "TFJob", "training.kubeflow.org/job-name=train"),
        ("kubeflow.org/v2beta1", "MPIJob", "training.kubeflow.org/job-name=train"),
        ("trainer.kubeflow.org/v1alpha1", "TrainJob", "jobset.sigs.k8s.io/jobset-name=train"),
        ("jobset.x-k8s.io/v1alpha2", "JobSet", "jobset.sigs.k8s.io/jobset-name=train"),
        ("argoproj.io/v1alpha1", "Workflow", "workflows.argoproj.io/workflow=train"),
        ("tekton.dev/v1", "TaskRun", "tekton.dev/taskRun=train"),
        ("tekton.dev/v1", "PipelineRun", "tekton.dev/pipelineRun=train"),
        ("batch.volcano.sh/v1alpha1", "Job", "volcano.sh/job-name=train"),
        ("sparkoperator.k8s.io/v1beta2", "SparkApplication", "sparkoperator.k8s.io/app-name=train"),
        ("tekton.dev/v1", "CustomRun", "None"),
        ("example.dev/v1", "Trainer", "None"),
        ("v1", "Pod", "None"),
    ],
)
def test_the_label_of_each_kind(api_version: str, kind: str, label: str) -> None:
    assert str(label_of(TrainingRef(api_version, kind, "team", "train"))) == label


@pytest.mark.parametrize(("length", "has_label"), [(63, True), (64, False)])
def test_a_name_that_fits_into_no_label_has_none(length: int, has_label: bool) -> None:
    assert (label_of(TrainingRef("batch/v1", "Job", "team", "x" * length)) is not None) == has_label
