"""What should exist for one SidecarEvaluation: ServiceAccount, Role, RoleBinding and Job, as full manifests.

`reconcile` compares them with what exists and applies them. Pure: the same spec gives the same manifests, and the
Job is named after a hash of its pod template, so that a changed spec is a new Job and an unchanged one never is.
"""

import hashlib
import json
from dataclasses import dataclass

from sidecar_operator import evaluator_args, kube_objects, volumes
from sidecar_operator.kube_objects import Key, Object

BACKOFF_LIMIT = 6
"""Failures of the pod that Kubernetes retries, with growing delays, before it gives the Job up."""


@dataclass(frozen=True)
class Desired:
    """Everything that should exist for one resource."""

    service_account: Object
    role: Object
    role_binding: Object
    job: Object

    @property
    def identity(self) -> tuple[Object, ...]:
        """The objects that let the pod write its results, in the order in which they need each other."""
        return (self.service_account, self.role, self.role_binding)

    @property
    def job_name(self) -> str:
        """Name of the Job; it changes exactly when the pod template does."""
        return str(self.job["metadata"]["name"])


def desired(evaluation: Object, default_image: str) -> Desired:
    """Render the children of a resource; `default_image` is for a spec that names no image."""
    name = evaluator_name(kube_objects.key_of(evaluation))
    return Desired(
        service_account=_child(evaluation, "v1", "ServiceAccount", name),
        role={**_child(evaluation, "rbac.authorization.k8s.io/v1", "Role", name), "rules": _rules(evaluation)},
        role_binding={
            **_child(evaluation, "rbac.authorization.k8s.io/v1", "RoleBinding", name),
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": evaluation["metadata"]["namespace"]}],
        },
        job=_job(evaluation, default_image),
    )


def evaluator_name(key: Key) -> str:
    """Return the name of the evaluator's ServiceAccount, Role and RoleBinding."""
    return f"{key.name}-evaluator"


def job_name(key: Key, template: Object) -> str:
    """Return the name of the Job that runs this pod template.

    With the longest name that a resource may have (48 characters), the names of its pods are just within the 63 that
    Kubernetes gives them.
    """
    rendered = json.dumps(template, sort_keys=True, separators=(",", ":"))
    return f"{key.name}-{hashlib.sha256(rendered.encode()).hexdigest()[:8]}"


def labels(key: Key) -> dict[str, str]:
    """Return the labels of every child and of the pod."""
    return {
        "app.kubernetes.io/name": "sidecar-evaluator",
        "app.kubernetes.io/component": "evaluator",
        kube_objects.MANAGED_BY_LABEL: kube_objects.FIELD_MANAGER,
        kube_objects.NAME_LABEL: key.name,
    }


def _child(evaluation: Object, api_version: str, kind: str, name: str) -> Object:
    key = kube_objects.key_of(evaluation)
    owner = {
        "apiVersion": kube_objects.API_VERSION,
        "kind": kube_objects.KIND,
        "name": key.name,
        "uid": kube_objects.uid_of(evaluation),
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


def _rules(evaluation: Object) -> list[Object]:
    """Return the rights of the pod: to read its own resource and to write the status of it, nothing else."""
    own = {"apiGroups": [kube_objects.GROUP], "resourceNames": [evaluation["metadata"]["name"]]}
    return [
        {**own, "resources": [kube_objects.PLURAL], "verbs": ["get", "watch"]},
        {**own, "resources": [f"{kube_objects.PLURAL}/status"], "verbs": ["patch"]},
    ]


def _job(evaluation: Object, default_image: str) -> Object:
    template = _pod_template(evaluation, default_image)
    name = job_name(kube_objects.key_of(evaluation), template)
    spec = {
        "suspend": evaluation["spec"].get("suspend", False),
        "backoffLimit": BACKOFF_LIMIT,
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": _pod_failure_policy(),
        "template": template,
    }
    return {**_child(evaluation, "batch/v1", "Job", name), "spec": spec}


def _pod_failure_policy() -> Object:
    """Return the policy: a configuration error ends the Job at once, a disruption counts as no failure."""
    exit_codes = {
        "containerName": kube_objects.CONTAINER,
        "operator": "In",
        "values": [kube_objects.CONFIGURATION_ERROR_EXIT_CODE],
    }
    return {
        "rules": [
            {"action": "FailJob", "onExitCodes": exit_codes},
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        ]
    }


def _pod_template(evaluation: Object, default_image: str) -> Object:
    key, spec = kube_objects.key_of(evaluation), evaluation["spec"]
    metadata: Object = {"labels": labels(key)}
    if found := volumes.annotations(spec):
        metadata["annotations"] = found
    return {"metadata": metadata, "spec": _pod(key, spec, default_image)}


def _pod(key: Key, spec: Object, default_image: str) -> Object:
    evaluator = spec["evaluator"]
    pod = {
        "restartPolicy": "Never",
        "serviceAccountName": evaluator_name(key),
        "automountServiceAccountToken": True,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 30,
        "securityContext": _security_context(spec),
        "containers": [_container(key, spec, default_image)],
        "volumes": volumes.volumes(spec),
    }
    placement = ("nodeSelector", "tolerations", "runtimeClassName", "priorityClassName", "imagePullSecrets")
    return pod | {field: evaluator[field] for field in placement if evaluator.get(field)}


def _security_context(spec: Object) -> Object:
    """Return the pod's user. A group of its own would be given all files of a claim that the training writes to."""
    context = {
        "runAsNonRoot": True,
        "runAsUser": volumes.USER_ID,
        "runAsGroup": volumes.USER_ID,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    if volumes.writes_beside_checkpoints(spec):
        return context
    return {**context, "fsGroup": volumes.USER_ID, "fsGroupChangePolicy": "OnRootMismatch"}


def _container(key: Key, spec: Object, default_image: str) -> Object:
    evaluator = spec["evaluator"]
    container = {
        "name": kube_objects.CONTAINER,
        "image": evaluator.get("image", default_image),
        "imagePullPolicy": "IfNotPresent",
        "args": evaluator_args.arguments(key, spec),
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
    return container | ({"resources": evaluator["resources"]} if evaluator.get("resources") else {})


def _environment(evaluator: Object) -> list[Object]:
    code = [{"name": "PYTHONPATH", "value": volumes.CODE_DIR}] if "code" in evaluator else []
    return [
        {"name": "POD_NAME", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}},
        {"name": "HOME", "value": "/tmp"},  # noqa: S108
        {"name": "TMPDIR", "value": "/tmp"},  # noqa: S108
        *code,
        *(
            {"name": given["name"], "value": evaluator_args.escaped(given.get("value", ""))}
            for given in evaluator.get("env", [])
        ),
    ]


def _probes() -> Object:
    """Return the probes: five minutes to start, ready once the model is built, killed when the loop hangs."""
    alive = {"httpGet": {"path": "/healthz", "port": "metrics"}}
    ready = {"httpGet": {"path": "/readyz", "port": "metrics"}}
    return {
        "startupProbe": {**alive, "periodSeconds": 2, "timeoutSeconds": 5, "failureThreshold": 150},
        "livenessProbe": {**alive, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 6},
        "readinessProbe": {**ready, "periodSeconds": 2, "timeoutSeconds": 5},
    }
