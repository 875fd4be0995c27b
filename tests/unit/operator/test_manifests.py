from typing import Any

import pytest

from sidecar_operator import names
from sidecar_operator.kube_objects import JsonObject, KubeObject
from sidecar_operator.manifests import Manifests, is_applied, render
from sidecar_operator.resource_view import SidecarEvaluation
from unit.operator.support.samples import evaluation

IMAGE = "default:1"


def children(**spec: Any) -> Manifests:
    return render(SidecarEvaluation(evaluation(spec)), IMAGE)


def pod_of(manifests: Manifests) -> JsonObject:
    pod_spec: JsonObject = manifests.job["spec"]["template"]["spec"]
    return pod_spec


def test_every_child_belongs_to_the_resource() -> None:
    manifests, owner = children(), KubeObject(evaluation())
    for child in (*manifests.identity, manifests.job):
        assert KubeObject(child).is_owned_by(owner)
        assert KubeObject(child).owner_key == ("team", "mnist")
        reference = child["metadata"]["ownerReferences"][0]
        assert (reference["controller"], reference["blockOwnerDeletion"]) == (True, False)


def test_the_role_names_one_resource_and_grants_no_write_but_its_status() -> None:
    rules = children().role["rules"]
    assert all(rule["resourceNames"] == ["mnist"] for rule in rules)
    assert {(rule["resources"][0], verb) for rule in rules for verb in rule["verbs"]} == {
        ("sidecarevaluations", "get"),
        ("sidecarevaluations", "watch"),
        ("sidecarevaluations/status", "patch"),
    }


def test_the_pod_keeps_to_the_restricted_profile() -> None:
    pod = pod_of(children())
    container = pod["containers"][0]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


ALL_GIVEN = {"runAsUser": 1000, "runAsGroup": 0, "fsGroup": 2000}
BESIDE = {"persistentVolumeClaim": {"claimName": "runs"}, "path": "eval"}


@pytest.mark.parametrize(
    ("evaluator", "expected"),
    [
        ({}, {"runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532}),
        ({"output": BESIDE}, {"runAsUser": 65532, "runAsGroup": 65532}),
        ({"securityContext": {}}, {}),
        ({"securityContext": {"runAsUser": 1000}}, {"runAsUser": 1000}),
        ({"securityContext": {"fsGroup": 2000}, "output": BESIDE}, {"fsGroup": 2000}),
        ({"securityContext": ALL_GIVEN}, ALL_GIVEN),
    ],
)
def test_user_and_groups_are_as_asked_for_or_left_to_the_platform(evaluator: JsonObject, expected: JsonObject) -> None:
    context = pod_of(children(evaluator={"entrypoint": "a:b", **evaluator}))["securityContext"]
    assert {field: context[field] for field in ALL_GIVEN if field in context} == expected
    assert context["runAsNonRoot"] is True
    assert ("fsGroupChangePolicy" in context) == ("fsGroup" in expected)


def test_when_to_pull_is_left_to_kubernetes_or_as_asked_for() -> None:
    policies = [
        pod_of(children(evaluator={"entrypoint": "a:b", **evaluator}))["containers"][0].get("imagePullPolicy")
        for evaluator in ({}, {"imagePullPolicy": "Always"})
    ]
    assert policies == [None, "Always"]


TRAINING_REF = {"apiVersion": "kubeflow.org/v1", "kind": "TFJob", "name": "train"}


@pytest.mark.parametrize(
    ("spec", "labels"),
    [
        ({"trainingRef": TRAINING_REF}, {"training.kubeflow.org/job-name": "train"}),
        ({"trainingRef": {**TRAINING_REF, "apiVersion": "example.dev/v1"}}, None),
        ({"trainingRef": TRAINING_REF, "checkpoints": {"source": {"gcs": {"bucket": "runs"}}, "path": "run"}}, None),
        ({}, None),
    ],
)
def test_the_node_of_the_training_is_preferred_where_both_use_a_claim(spec: JsonObject, labels: JsonObject) -> None:
    pod = pod_of(children(**spec))
    terms = pod.get("affinity", {}).get("podAffinity", {}).get("preferredDuringSchedulingIgnoredDuringExecution", [])
    assert [term["podAffinityTerm"]["labelSelector"]["matchLabels"] for term in terms] == ([labels] if labels else [])


@pytest.mark.parametrize(("evaluator", "image"), [({}, IMAGE), ({"image": "own:2"}, "own:2")])
def test_image(evaluator: JsonObject, image: str) -> None:
    manifests = children(evaluator={"entrypoint": "a:b", **evaluator})
    assert pod_of(manifests)["containers"][0]["image"] == image


@pytest.mark.parametrize(
    "spec",
    [
        {"evaluator": {"entrypoint": "other:build"}},
        {"evaluator": {"entrypoint": "evaluate:build", "resources": {"limits": {"nvidia.com/gpu": "1"}}}},
        {"evaluator": {"entrypoint": "evaluate:build", "nodeSelector": {"a": "b"}}},
        {"evaluator": {"entrypoint": "evaluate:build", "performance": {"dataInMemory": "Host"}}},
        {"metrics": {"primary": "loss"}},
        {"bestCheckpoint": {"keep": 2}},
        {"historyLimit": 11},
    ],
)
def test_what_the_pod_runs_names_the_job(spec: JsonObject) -> None:
    assert children(**spec).job_name != children().job_name
    assert children(**spec).run.pod_template != children().run.pod_template


@pytest.mark.parametrize("spec", [{"suspend": True}, {"readyWhen": "FirstEvaluation"}, {}])
def test_what_the_pod_does_not_run_keeps_the_job(spec: JsonObject) -> None:
    assert children(**spec).job_name == children().job_name
    assert children(**spec).run == children().run


def test_a_job_says_what_it_was_made_for() -> None:
    annotations = children().job["metadata"]["annotations"]
    assert annotations == {
        names.GENERATION_ANNOTATION: "1",
        names.ATTEMPT_ANNOTATION: "0",
        names.POD_TEMPLATE_ANNOTATION: children().run.pod_template,
        names.DEFAULT_IMAGE_ANNOTATION: IMAGE,
        names.SUSPEND_ANNOTATION: "false",
    }
    chosen = children(evaluator={"entrypoint": "a:b", "image": "chosen:2"})
    assert names.DEFAULT_IMAGE_ANNOTATION not in chosen.job["metadata"]["annotations"]


def metadata_of(**pod_metadata: JsonObject) -> JsonObject:
    manifests = children(evaluator={"entrypoint": "a:b", "podMetadata": pod_metadata})
    metadata: JsonObject = manifests.job["spec"]["template"]["metadata"]
    return metadata


def test_meshes_are_kept_out_unless_they_are_asked_for() -> None:
    by_default = metadata_of()
    assert by_default["labels"]["sidecar.istio.io/inject"] == "false"
    assert by_default["annotations"]["linkerd.io/inject"] == "disabled"
    asked = metadata_of(annotations={"sidecar.istio.io/inject": "true"})
    assert asked["annotations"]["sidecar.istio.io/inject"] == "true"
    assert "sidecar.istio.io/inject" not in asked["labels"]
    assert asked["annotations"]["linkerd.io/inject"] == "disabled"


def test_the_users_metadata_is_added_and_overrides_nothing_of_the_operators() -> None:
    metadata = metadata_of(labels={"team": "vision", names.NAME_LABEL: "other"}, annotations={"a": "b"})
    assert (metadata["labels"]["team"], metadata["labels"][names.NAME_LABEL]) == ("vision", "mnist")
    assert metadata["annotations"]["a"] == "b"


def test_what_stops_the_evaluator_from_outside_is_no_failure_of_its_job() -> None:
    fail, *ignored = children().job["spec"]["podFailurePolicy"]["rules"]
    assert (fail["action"], fail["onExitCodes"]["values"]) == ("FailJob", [78])
    assert {rule["action"] for rule in ignored} == {"Ignore"}
    assert ignored[0]["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
    assert ignored[1]["onExitCodes"]["values"] == [75, 143]


@pytest.mark.parametrize("suspend", [True, False])
def test_suspend(suspend: bool) -> None:
    assert children(suspend=suspend).job["spec"]["suspend"] is suspend


def test_the_environment_is_passed_on_literally() -> None:
    manifests = children(evaluator={"entrypoint": "a:b", "env": [{"name": "A", "value": "$(HOME)"}]})
    assert {"name": "A", "value": "$$(HOME)"} in pod_of(manifests)["containers"][0]["env"]


def test_the_longest_name_leaves_room_for_the_names_of_pods() -> None:
    named = evaluation()
    named["metadata"]["name"] = "a" * 48
    assert len(f"{render(SidecarEvaluation(named), IMAGE).job_name}-x1y2z") == 63


@pytest.mark.parametrize(
    ("manifest", "stored", "expected"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, True),
        ({"a": 1}, {"a": 2}, False),
        ({"a": {"b": 1}}, {"a": None}, False),
        ({"a": [1]}, {"a": [1, 2]}, False),
        ({"a": [{"b": 1}]}, {"a": [{"b": 1, "c": 2}]}, True),
        ({"a": 1}, None, False),
        ({"kind": "Job", "spec": {"template": {}}}, {"spec": {}}, True),
    ],
)
def test_is_applied(manifest: JsonObject, stored: object, expected: bool) -> None:
    assert is_applied(manifest, stored) is expected
