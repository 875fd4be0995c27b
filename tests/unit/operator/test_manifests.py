from typing import Any

import pytest

from sidecar_operator import kube_objects
from sidecar_operator.kube_objects import Object
from sidecar_operator.manifests import Desired, desired
from unit.operator.support.samples import evaluation

IMAGE = "default:1"


def children(**spec: Any) -> Desired:
    return desired(evaluation(spec), IMAGE)


def pod_of(wanted: Desired) -> Object:
    found: Object = wanted.job["spec"]["template"]["spec"]
    return found


def test_every_child_belongs_to_the_resource() -> None:
    wanted = children()
    for child in (*wanted.identity, wanted.job):
        assert kube_objects.is_owned_by(child, "uid-mnist")
        assert kube_objects.owner_key_of(child) == ("team", "mnist")
        owner = child["metadata"]["ownerReferences"][0]
        assert (owner["controller"], owner["blockOwnerDeletion"]) == (True, False)


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


@pytest.mark.parametrize(("given", "used"), [({}, IMAGE), ({"image": "own:2"}, "own:2")])
def test_image(given: Object, used: str) -> None:
    wanted = children(evaluator={"entrypoint": "a:b", **given})
    assert pod_of(wanted)["containers"][0]["image"] == used


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
def test_what_the_pod_runs_names_the_job(spec: Object) -> None:
    assert children(**spec).job_name != children().job_name


@pytest.mark.parametrize("spec", [{"suspend": True}, {"readyWhen": "FirstEvaluation"}, {}])
def test_what_the_pod_does_not_run_keeps_the_job(spec: Object) -> None:
    assert children(**spec).job_name == children().job_name


@pytest.mark.parametrize("suspend", [True, False])
def test_suspend(suspend: bool) -> None:
    assert children(suspend=suspend).job["spec"]["suspend"] is suspend


def test_the_environment_is_passed_on_literally() -> None:
    wanted = children(evaluator={"entrypoint": "a:b", "env": [{"name": "A", "value": "$(HOME)"}]})
    assert {"name": "A", "value": "$$(HOME)"} in pod_of(wanted)["containers"][0]["env"]


def test_the_longest_name_leaves_room_for_the_names_of_pods() -> None:
    named = evaluation()
    named["metadata"]["name"] = "a" * 48
    assert len(f"{desired(named, IMAGE).job_name}-x1y2z") == 63
