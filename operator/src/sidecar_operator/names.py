"""Names that the operator shares with the API server and the evaluator: group, kinds, labels, field manager, container.

Every other module uses them. Constants only: they are part of what users, policies and dashboards refer to, so none is
renamed lightly.
"""

from typing import Final

GROUP: Final = "sidecareval.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "SidecarEvaluation"
PLURAL: Final = "sidecarevaluations"

FIELD_MANAGER: Final = "sidecar-operator"
"""Owner, in server-side apply, of every field that the operator writes."""

NAME_LABEL: Final = "sidecareval.dev/name"
"""Label of every child: the name of its SidecarEvaluation."""

SUSPEND_ANNOTATION: Final = f"{GROUP}/suspend"
"""Annotation of the Job: the value of `spec.suspend` that the operator has written last."""

MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"
CHILD_SELECTOR: Final = f"{MANAGED_BY_LABEL}={FIELD_MANAGER}"
JOB_NAME_LABEL: Final = "batch.kubernetes.io/job-name"

RESTARTED_AT_ANNOTATION: Final = "sidecareval.dev/restartedAt"
"""On a resource: the time of the last request to run it again. On its Job: the request that the Job was made for."""
GENERATION_ANNOTATION: Final = "sidecareval.dev/generation"
"""On a Job: the generation of the spec that it was made for, or that asks for the same pod."""
ATTEMPT_ANNOTATION: Final = "sidecareval.dev/attempt"
"""On a Job: how many Jobs of the same run have failed before it."""
POD_TEMPLATE_ANNOTATION: Final = "sidecareval.dev/pod-template"
"""On a Job: digest of the pod template that it was made with."""
DEFAULT_IMAGE_ANNOTATION: Final = "sidecareval.dev/default-image"
"""On a Job: the operator's default image, where the spec names none."""

CONTAINER: Final = "evaluator"
"""Name of the container that evaluates, in each pod."""

CONFIGURATION_ERROR_EXIT_CODE: Final = 78
"""Exit code of an evaluator whose configuration is wrong: the Job fails without a retry."""
OUTSIDE_EXIT_CODES: Final = (75, 143)
"""Exit codes of an evaluator that was stopped from outside: its mount has died, or it got SIGTERM."""

POD_FAILURE_POLICY_REASON: Final = "PodFailurePolicy"
"""Reason of a Job's condition Failed where a rule of its podFailurePolicy failed it: the one about that exit code."""
