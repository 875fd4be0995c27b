"""Manifests of the children of one SidecarEvaluation: ServiceAccount, Role, RoleBinding and Job.

`reconcile` has them rendered, `child_objects` compares them with what exists and applies them. Pure: the same spec and
run give the same manifests. The Job is named after a digest of its pod template and its run; `runs` decides whether
one that exists is kept.
"""

import hashlib
import json
from dataclasses import dataclass

from sidecar_operator import evaluator_args, names, pod_user, runs, training_pods, volumes
from sidecar_operator.kube_objects import JsonObject, Key
from sidecar_operator.pod_metadata import PodMetadata, pod_metadata
from sidecar_operator.resource_view import SidecarEvaluation
from sidecar_operator.runs import Run

BACKOFF_LIMIT = 6
"""Failed pods that Kubernetes replaces, with growing delays, before the Job fails; `restarts` decides what follows."""


@dataclass(frozen=True)
class Manifests:
    """The children of one resource as they should be."""

    service_account: JsonObject
    role: JsonObject
    role_binding: JsonObject
    job: JsonObject
    run: Run
    """The run that the Job is for."""

    @property
    def identity(self) -> tuple[JsonObject, ...]:
        """The objects that let the pod write its results, in the order in which they depend on each other."""
        return (self.service_account, self.role, self.role_binding)

    @property
    def job_name(self) -> str:
        """Name of the Job; it changes with the pod template and with the run."""
        return str(self.job["metadata"]["name"])


def render(evaluation: SidecarEvaluation, default_image: str, restarted_at: str = "") -> Manifests:
    """Render the children of a resource; `default_image` is for a spec that names no image.

    `restarted_at` is the time of the last request to run again, empty where there was none.
    """
    name = evaluator_name(evaluation.key)
    template = _pod_template(evaluation, default_image, restarted_at)
    run = runs.current(evaluation, restarted_at, digest(template))
    return Manifests(
        service_account=_child(evaluation, "v1", "ServiceAccount", name),
        role={**_child(evaluation, "rbac.authorization.k8s.io/v1", "Role", name), "rules": _rules(evaluation)},
        role_binding={
            **_child(evaluation, "rbac.authorization.k8s.io/v1", "RoleBinding", name),
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": evaluation.namespace}],
        },
        job=_job(evaluation, default_image, template, run),
        run=run,
    )


def is_applied(manifest: object, stored: object) -> bool:
    """Tell whether an object has every field of a manifest; a Job's template is not compared, it names the Job."""
    if isinstance(manifest, dict):
        return isinstance(stored, dict) and all(
            field in UNCOMPARED or is_applied(value, stored.get(field)) for field, value in manifest.items()
        )
    if isinstance(manifest, list):
        return (
            isinstance(stored, list)
            and len(stored) == len(manifest)
            and all(is_applied(item, stored_item) for item, stored_item in zip(manifest, stored, strict=True))
        )
    return manifest == stored


UNCOMPARED = frozenset({"apiVersion", "kind", "template"})


def evaluator_name(key: Key) -> str:
    """Return the name of the evaluator's ServiceAccount, Role and RoleBinding."""
    return f"{key.name}-evaluator"


def job_name(evaluation: SidecarEvaluation, template: JsonObject, run: Run) -> str:
    """Return the name of the Job that runs this pod template for this run.

    The longest name of a resource (48 characters) gives names of pods that have just the 63 characters that Kubernetes
    allows.
    """
    identity = [evaluation.uid, run.generation, run.restarted_at, run.attempt, template]
    return f"{evaluation.name}-{digest(identity)[:8]}"


def digest(value: object) -> str:
    """Return a digest of something that JSON can hold."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def labels(key: Key) -> dict[str, str]:
    """Return the labels of every child and of the pod."""
    return {
        "app.kubernetes.io/name": "sidecar-evaluator",
        "app.kubernetes.io/component": "evaluator",
        names.MANAGED_BY_LABEL: names.FIELD_MANAGER,
        names.NAME_LABEL: key.name,
    }


def _child(evaluation: SidecarEvaluation, api_version: str, kind: str, name: str) -> JsonObject:
    key = evaluation.key
    owner = {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "name": key.name,
        "uid": evaluation.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }
    metadata = {
        "name": name,
        "namespace": key.namespace,
        "labels": labels(key),
        "ownerReferences": [owner],
    }
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


def _rules(evaluation: SidecarEvaluation) -> list[JsonObject]:
    """Return the rights of the pod: to read its own resource and to write the status of it, nothing else."""
    scope = {"apiGroups": [names.GROUP], "resourceNames": [evaluation.name]}
    return [
        {**scope, "resources": [names.PLURAL], "verbs": ["get", "watch"]},
        {**scope, "resources": [f"{names.PLURAL}/status"], "verbs": ["patch"]},
    ]


def _job(evaluation: SidecarEvaluation, default_image: str, template: JsonObject, run: Run) -> JsonObject:
    job = _child(evaluation, "batch/v1", "Job", job_name(evaluation, template, run))
    image = None if "image" in evaluation.spec["evaluator"] else default_image
    suspend = {names.SUSPEND_ANNOTATION: suspend_text(suspend=evaluation.is_suspended)}
    job["metadata"]["annotations"] = runs.annotations(run, image) | suspend
    spec = {
        "suspend": evaluation.is_suspended,
        "backoffLimit": BACKOFF_LIMIT,
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": _pod_failure_policy(),
        "template": template,
    }
    return {**job, "spec": spec}


def suspend_text(*, suspend: bool) -> str:
    """Return the value of the annotation that records what the operator has asked for."""
    return str(suspend).lower()


def _pod_failure_policy() -> JsonObject:
    """Return the policy: a configuration error fails the Job at once, what comes from outside is no failure of it."""
    return {
        "rules": [
            {"action": "FailJob", "onExitCodes": _exit_codes(names.CONFIGURATION_ERROR_EXIT_CODE)},
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
            {"action": "Ignore", "onExitCodes": _exit_codes(*names.OUTSIDE_EXIT_CODES)},
        ]
    }


def _exit_codes(*codes: int) -> JsonObject:
    return {"containerName": names.CONTAINER, "operator": "In", "values": list(codes)}


def _pod_template(evaluation: SidecarEvaluation, default_image: str, restarted_at: str) -> JsonObject:
    key, spec = evaluation.key, evaluation.spec
    metadata = pod_metadata(spec["evaluator"], PodMetadata(labels(key), volumes.annotations(spec)))
    pod = _pod(key, spec, _container(evaluation, default_image, restarted_at))
    return {"metadata": metadata.to_json(), "spec": pod | _affinity(evaluation)}


def _affinity(evaluation: SidecarEvaluation) -> JsonObject:
    """Return a preference for the training's node where both use one claim: many volumes attach to one node only.

    It is no requirement, which no node would meet any more once the training's pods have ended.
    """
    ref, source = evaluation.training_ref, evaluation.spec["checkpoints"]["source"]
    label = training_pods.label_of(ref) if ref else None
    if label is None or "persistentVolumeClaim" not in source:
        return {}
    term = {"labelSelector": {"matchLabels": {label.key: label.value}}, "topologyKey": "kubernetes.io/hostname"}
    preferred = [{"weight": 100, "podAffinityTerm": term}]
    return {"affinity": {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}}


def _pod(key: Key, spec: JsonObject, container: JsonObject) -> JsonObject:
    evaluator = spec["evaluator"]
    pod = {
        "restartPolicy": "Never",
        "serviceAccountName": evaluator_name(key),
        "automountServiceAccountToken": True,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 30,
        "securityContext": _security_context(spec),
        "containers": [container],
        "volumes": volumes.pod_volumes(spec),
    }
    placement = ("nodeSelector", "tolerations", "runtimeClassName", "priorityClassName", "imagePullSecrets")
    return pod | {field: evaluator[field] for field in placement if evaluator.get(field)}


def _security_context(spec: JsonObject) -> JsonObject:
    """Return the pod's user and groups, and what the restricted profile asks for.

    By default there is no fsGroup where training writes to the same claim: it would change its files' group.
    """
    user = pod_user.pod_user(spec)
    keeps_group = pod_user.is_default(spec) and volumes.writes_beside_checkpoints(spec)
    has_fs_group = user.volumes_group is not None and not keeps_group
    return {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
        **({} if user.user is None else {"runAsUser": user.user}),
        **({} if user.group is None else {"runAsGroup": user.group}),
        **({"fsGroup": user.volumes_group, "fsGroupChangePolicy": "OnRootMismatch"} if has_fs_group else {}),
    }


def _container(evaluation: SidecarEvaluation, default_image: str, restarted_at: str) -> JsonObject:
    spec, evaluator = evaluation.spec, evaluation.spec["evaluator"]
    container = {
        "name": names.CONTAINER,
        "image": evaluator.get("image", default_image),
        "args": evaluator_args.arguments(evaluation.key, spec, restarted_at),
        "env": _environment(evaluator),
        "ports": [{"name": "metrics", "containerPort": evaluator_args.PORT, "protocol": "TCP"}],
        "volumeMounts": volumes.volume_mounts(spec),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        **_probes(),
    }
    return container | {field: evaluator[field] for field in ("imagePullPolicy", "resources") if evaluator.get(field)}


def _environment(evaluator: JsonObject) -> list[JsonObject]:
    return [
        {"name": "POD_NAME", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}},
        {"name": "HOME", "value": "/tmp"},  # noqa: S108
        {"name": "TMPDIR", "value": "/tmp"},  # noqa: S108
        *(
            {"name": variable["name"], "value": evaluator_args.escaped(variable["value"])}
            for variable in evaluator.get("env", [])
        ),
    ]


def _probes() -> JsonObject:
    """Return the probes: five minutes to start, ready once the model is built, killed when the loop hangs."""
    health = {"httpGet": {"path": "/healthz", "port": "metrics"}}
    ready = {"httpGet": {"path": "/readyz", "port": "metrics"}}
    return {
        "startupProbe": {**health, "periodSeconds": 2, "timeoutSeconds": 5, "failureThreshold": 150},
        "livenessProbe": {**health, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 6},
        "readinessProbe": {**ready, "periodSeconds": 2, "timeoutSeconds": 5},
    }
