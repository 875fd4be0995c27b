from datetime import UTC, datetime
from typing import Any

import pytest

from sidecar_operator.resource_view import SidecarEvaluation
from unit.operator.support.samples import RESULTS, TRAINING_REF, evaluation

TRAINING = {"apiVersion": "kubeflow.org/v1", "kind": "TFJob", "name": "train"}


def test_the_spec() -> None:
    resource = SidecarEvaluation(evaluation({"trainingRef": TRAINING, "suspend": True, "readyWhen": "FirstEvaluation"}))
    assert (resource.training_ref, str(resource.training_ref)) == (TRAINING_REF, "TFJob train")
    assert (resource.is_suspended, resource.ready_when) == (True, "FirstEvaluation")


def test_the_least_spec() -> None:
    resource = SidecarEvaluation(evaluation())
    assert (resource.training_ref, resource.is_suspended, resource.ready_when) == (None, False, "EvaluatorRunning")


def test_the_results() -> None:
    ended = {"reason": "MaxEvaluations", "at": "2026-01-02T03:04:05Z"}
    results = SidecarEvaluation(evaluation(status={"results": RESULTS | {"ended": ended}})).results
    assert (results.latest.checkpoint, results.latest.step, results.latest.score) == ("ckpt-7", 700, "accuracy=0.93")
    metric = results.latest.metrics[0]
    assert (metric.name, metric.dataset, metric.value) == ("accuracy", "val", "0.93")
    assert results.best.metrics[0].number == 0.94
    assert (results.evaluated_count, results.counts["skipped"], results.backlog) == (7, 1, 2)
    assert (results.end_reason, results.ended_at) == ("MaxEvaluations", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))


def test_a_sum_of_counts_fits_into_the_status() -> None:
    counts = {"evaluated": 2**63 - 1, "skipped": 2**63 - 1}
    assert SidecarEvaluation(evaluation(status={"results": {"counts": counts}})).results.settled_count == 2**63 - 1


def test_a_resource_without_status_has_no_results() -> None:
    resource = SidecarEvaluation(evaluation())
    results = resource.results
    assert (results.latest.checkpoint, results.latest.step, results.latest.metrics, results.history) == (
        "",
        None,
        [],
        [],
    )
    assert (results.counts, results.evaluated_count, results.backlog, results.end_reason) == ({}, 0, None, "")
    assert (resource.job_name, resource.training.state, resource.training.finished_at) == ("", "", "")


@pytest.mark.parametrize("shape", [None, "text", 5, [], [None], {"metrics": "text"}, {"metrics": [{"value": 5}, None]}])
def test_results_of_any_shape_can_be_read(shape: Any) -> None:
    fields = ("latest", "best", "history", "counts", "ended", "backlog")
    results = SidecarEvaluation({"status": {"results": dict.fromkeys(fields, shape)}}).results
    assert [metric.number for metric in results.latest.metrics] in ([], [None])
    assert (results.evaluated_count, results.ended_at, results.latest.evaluated_at) == (0, None, None)
