import pytest

from sidecar_operator.cache import Cache, KindCache, trimmed
from sidecar_operator.kube_objects import Job, JsonObject, Key, KubeObject
from unit.operator.support.samples import KEY, TRAINING_REF, evaluation, job, pod, training


def version(obj: JsonObject, number: int, uid: str | None = None) -> JsonObject:
    changed = {"resourceVersion": str(number), **({"uid": uid} if uid else {})}
    return {**obj, "metadata": {**obj["metadata"], **changed}}


@pytest.fixture
def cache() -> KindCache[Job]:
    return KindCache(Job)


JOB = job(evaluation())
JOB_KEY = KubeObject(JOB).key


def test_the_newer_version_stays_whatever_the_order(cache: KindCache[Job]) -> None:
    assert cache.put(version(JOB, 10))
    assert not cache.put(version(JOB, 9))
    assert not cache.put(version(JOB, 10))
    assert cache.put(version(JOB, 100))
    assert [stored.resource_version for stored in cache] == [100]


def test_objects_are_found_by_owner(cache: KindCache[Job]) -> None:
    cache.put(JOB)
    assert [stored.key for stored in cache.of(KEY)] == [JOB_KEY]
    assert cache.of(Key("team", "other")) == []
    assert cache.remove(JOB)
    assert cache.of(KEY) == []


def test_a_deletion_of_an_earlier_object_of_the_name_is_ignored(cache: KindCache[Job]) -> None:
    cache.put(version(JOB, 10, "new"))
    assert not cache.remove(version(JOB, 11, "old"))
    assert cache.get(JOB_KEY)
    assert not KindCache(Job).remove(JOB)


def test_an_update_brings_nothing_back(cache: KindCache[Job]) -> None:
    cache.update(JOB)
    assert cache.get(JOB_KEY) is None
    cache.put(version(JOB, 10, "new"))
    cache.update(version(JOB, 11, "old"))
    assert [stored.uid for stored in cache] == ["new"]


def test_a_list_replaces_what_is_older_than_itself(cache: KindCache[Job]) -> None:
    cache.put(version(JOB, 10))
    younger = job(evaluation(), "younger")
    cache.put(version(younger, 30))
    cache.replace([], 20)
    assert [stored.name for stored in cache] == ["younger"]


def test_a_list_of_one_namespace_says_nothing_of_another(cache: KindCache[Job]) -> None:
    cache.put(version(JOB, 10))
    cache.replace([], 20, "another")
    assert cache.get(JOB_KEY)
    cache.replace([], 20, JOB_KEY.namespace)
    assert cache.get(JOB_KEY) is None


def test_followers_of_a_training() -> None:
    cache, ref = Cache(), TRAINING_REF
    cache.evaluations.put(
        evaluation({"trainingRef": {"apiVersion": ref.api_version, "kind": ref.kind, "name": ref.name}})
    )
    assert cache.followers(ref) == [KEY]
    assert cache.followers(ref._replace(namespace="other")) == []


def test_a_watch_overrules_a_request() -> None:
    trainings, ref = Cache().trainings, TRAINING_REF
    trainings.put_read(ref, training())
    assert trainings.get(ref)
    trainings.put_watched(ref, None)
    trainings.put_read(ref, training())
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


@pytest.mark.parametrize("spec", ["a template", None, 5, [], {"template": None}])
def test_the_spec_of_a_training_may_have_any_shape(spec: object) -> None:
    assert trimmed({**training(), "spec": spec})["spec"] == spec
