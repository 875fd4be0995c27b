import pytest

from sidecar_operator import kube_objects
from sidecar_operator.cache import Cache, Store, trimmed
from sidecar_operator.kube_objects import Key, Object, TrainingRef
from unit.operator.support.samples import KEY, evaluation, job, pod, training


def version(obj: Object, number: int, uid: str | None = None) -> Object:
    changed = {"resourceVersion": str(number), **({"uid": uid} if uid else {})}
    return {**obj, "metadata": {**obj["metadata"], **changed}}


@pytest.fixture
def cache() -> Cache:
    return Cache(kube_objects.owner_key_of)


JOB = job(evaluation())
JOB_KEY = kube_objects.key_of(JOB)


def test_the_newer_version_stays_whatever_the_order(cache: Cache) -> None:
    assert cache.put(version(JOB, 10))
    assert not cache.put(version(JOB, 9))
    assert not cache.put(version(JOB, 10))
    assert cache.put(version(JOB, 100))
    assert [found["metadata"]["resourceVersion"] for found in cache] == ["100"]


def test_objects_are_found_by_owner(cache: Cache) -> None:
    cache.put(JOB)
    assert [kube_objects.key_of(found) for found in cache.of(KEY)] == [JOB_KEY]
    assert cache.of(Key("team", "other")) == []
    assert cache.remove(JOB)
    assert cache.of(KEY) == []


def test_a_deletion_of_an_earlier_object_of_the_name_is_ignored(cache: Cache) -> None:
    cache.put(version(JOB, 10, "new"))
    assert not cache.remove(version(JOB, 11, "old"))
    assert cache.get(JOB_KEY)
    assert not Cache(kube_objects.owner_key_of).remove(JOB)


def test_an_update_brings_nothing_back(cache: Cache) -> None:
    cache.update(JOB)
    assert cache.get(JOB_KEY) is None
    cache.put(version(JOB, 10, "new"))
    cache.update(version(JOB, 11, "old"))
    assert kube_objects.uid_of(cache.get(JOB_KEY) or {}) == "new"


def test_a_list_replaces_what_is_older_than_itself(cache: Cache) -> None:
    cache.put(version(JOB, 10))
    younger = job(evaluation(), "younger")
    cache.put(version(younger, 30))
    cache.replace([], 20)
    assert [kube_objects.key_of(found).name for found in cache] == ["younger"]


def test_a_list_of_one_namespace_says_nothing_of_another(cache: Cache) -> None:
    cache.put(version(JOB, 10))
    cache.replace([], 20, "another")
    assert cache.get(JOB_KEY)
    cache.replace([], 20, JOB_KEY.namespace)
    assert cache.get(JOB_KEY) is None


def test_followers_of_a_training() -> None:
    store = Store()
    ref = TrainingRef("kubeflow.org/v1", "TFJob", "team", "train")
    store.evaluations.put(
        evaluation({"trainingRef": {"apiVersion": ref.api_version, "kind": ref.kind, "name": ref.name}})
    )
    assert store.followers(ref) == [KEY]
    assert store.followers(ref._replace(namespace="other")) == []


def test_a_watch_overrules_a_request() -> None:
    trainings = Store().trainings
    ref = TrainingRef("kubeflow.org/v1", "TFJob", "team", "train")
    trainings.looked_up(ref, training())
    assert trainings.get(ref)
    trainings.saw(ref, None)
    trainings.looked_up(ref, training())
    assert ref in trainings
    assert trainings.get(ref) is None
    trainings.clear()
    assert ref not in trainings


def test_only_what_is_read_is_kept() -> None:
    big = {**pod(JOB), "spec": {"containers": []}}
    big["metadata"]["managedFields"] = [{}]
    assert set(trimmed(big)) == {"kind", "metadata", "status"}
    assert "managedFields" not in trimmed(big)["metadata"]
    templated = {**JOB, "spec": {"suspend": False, "template": {}}}
    assert trimmed(templated)["spec"] == {"suspend": False}
    assert trimmed(evaluation())["spec"] == evaluation()["spec"]
