from typing import Any

import pytest

from sidecar_operator.kube_objects import JsonObject
from sidecar_operator.resource_view import SidecarEvaluation
from sidecar_operator.training_state import Training
from sidecar_operator.training_status import State
from sidecar_operator.training_wait import explain
from unit.operator.support.samples import TRAINING_REF, evaluation

GPU = {"evaluator": {"entrypoint": "e:b", "resources": {"limits": {"nvidia.com/gpu": "1"}, "requests": {"cpu": "2"}}}}
NO_GPU = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu. preemption: 0/1 nodes are available."
IN_USE = "0/1 nodes are available: 1 node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod"
MULTI_ATTACH = 'Multi-Attach error for volume "pv": already exclusively attached'


def explained(words: str, *, is_evaluating: bool = True, spec: JsonObject | None = None) -> str:
    training = Training(TRAINING_REF, State.WAITING, "it waits")
    resource = SidecarEvaluation(evaluation(spec or GPU))
    return explain(training, "train-0", words, resource, is_evaluating=is_evaluating).message


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (NO_GPU, ["Insufficient nvidia.com/gpu", "the evaluator holds 1 of nvidia.com/gpu"]),
        (IN_USE, ["ReadWriteOncePod", "the evaluator's pod uses it", "ReadWriteMany"]),
        (MULTI_ATTACH, ["Multi-Attach", "attached to the node of the evaluator's pod"]),
    ],
)
def test_what_the_evaluator_holds_is_said_with_what_releases_it(words: str, says: list[str]) -> None:
    message = explained(words)
    assert message.startswith("TFJob train waits for its pod train-0: ")
    for part in (*says, "spec.suspend"):
        assert part in message


@pytest.mark.parametrize(
    ("words", "changes"),
    [
        (NO_GPU, {"is_evaluating": False}),
        (NO_GPU, {"spec": {"evaluator": {"entrypoint": "e:b"}}}),
        ("0/3 nodes are available: 3 node(s) had untolerated taint", {}),
        ("ErrImagePull: no such host", {}),
    ],
)
def test_what_the_evaluator_has_no_part_in_is_said_without_it(words: str, changes: Any) -> None:
    message = explained(words, **changes)
    assert "spec.suspend" not in message
    assert "kubectl describe pod train-0 -n team" in message
