"""Why a training waits: what the scheduler or the kubelet says of its pod, and what can be done about it.

`reconcile` calls it with what `pending_pods` has read. Pure. Where the evaluator's own pod holds what the training's
pod waits for, the message says so and names the fields that release it.
"""

import dataclasses
from collections.abc import Iterator

from sidecar_operator.kube_objects import object_at
from sidecar_operator.resource_view import SidecarEvaluation
from sidecar_operator.training_state import Training

RELEASE = "set spec.suspend to true until the training runs"


def explain(
    training: Training, pod: str, words: str, evaluation: SidecarEvaluation, *, is_evaluating: bool
) -> Training:
    """Return the training with what is said of a pod of it; `is_evaluating` tells whether the evaluator has a pod."""
    words = words.rstrip(". ")
    hints = list(_hints(words, evaluation)) if is_evaluating else []
    advice = "; ".join(hints) or f"see `kubectl describe pod {pod} -n {evaluation.namespace}`"
    message = f"{training.ref} waits for its pod {pod}: {words}; {advice}"
    return dataclasses.replace(training, message=message)


def _hints(words: str, evaluation: SidecarEvaluation) -> Iterator[str]:
    """Yield what to do about each thing that the evaluator's pod holds and these words ask for."""
    resources = object_at(evaluation.spec, "evaluator", "resources")
    for name, quantity in (object_at(resources, "requests") | object_at(resources, "limits")).items():
        if f"Insufficient {name}" in words:
            yield f"the evaluator holds {quantity} of {name}: {RELEASE}, or change spec.evaluator.resources"
    if "ReadWriteOncePod" in words:
        yield (
            f"the access mode of the claim allows one pod, and the evaluator's pod uses it: {RELEASE}, and use a claim "
            "with access mode ReadWriteOnce or ReadWriteMany"
        )
    if "Multi-Attach" in words:
        yield (
            f"the volume is attached to the node of the evaluator's pod: {RELEASE}, or use a claim with access mode "
            "ReadWriteMany"
        )
