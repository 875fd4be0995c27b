import pytest

from sidecar_operator.cache import Cache, KindCache
from sidecar_operator.kube_objects import Job, JsonObject, Key, KubeObject, Page
from sidecar_operator.resource_view import SidecarEvaluation
from unit.operator.support.samples import KEY, TRAINING_REF, evaluation, job, training
from unit.operator.support.world import TRAINING_SCOPE


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


def test_a_list_that_is_older_than_the_one_before_replaces_everything(cache: KindCache[Job]) -> None:
    cache.replace([version(JOB, 90)], 100)
    restored = job(evaluation(), "restored")
    cache.begin_list()
    cache.replace([version(JOB, 40), version(restored, 30)], 50)
    assert {stored.name: stored.resource_version for stored in cache} == {JOB_KEY.name: 40, "restored": 30}
    assert cache.put(version(JOB, 51))


def test_a_list_that_is_older_than_what_a_watch_has_reported_replaces_everything(cache: KindCache[Job]) -> None:
    cache.put(version(JOB, 100))
    restored = job(evaluation(), "restored")
    cache.begin_list()
    cache.take_page(Page([version(JOB, 40)], 50, is_last=False))
    cache.take_page(Page([version(restored, 30)], 50, is_first=False))
    assert {stored.name: stored.resource_version for stored in cache} == {JOB_KEY.name: 40, "restored": 30}


def test_what_a_watch_reports_while_a_list_comes_in_may_be_newer(cache: KindCache[Job]) -> None:
    cache.begin_list()
    cache.put(version(JOB, 100))
    cache.take_page(Page([version(JOB, 40)], 50))
    assert [stored.resource_version for stored in cache] == [100]


def test_an_older_list_of_one_namespace_resets_no_other(cache: KindCache[Job]) -> None:
    cache.put(version(JOB, 110))
    cache.begin_list()
    cache.replace([], 50, "another")
    assert cache.get(JOB_KEY)
    cache.replace([], 60, JOB_KEY.namespace)
    assert cache.get(JOB_KEY) is None


@pytest.mark.parametrize(("number", "uid"), [(11, "uid-1"), (11, "uid-2"), (9, "uid-1")])
def test_a_read_replaces_what_is_outdated(cache: KindCache[Job], number: int, uid: str) -> None:
    cache.put(version(JOB, 10, "uid-1"))
    outdated = cache.get(JOB_KEY)
    assert outdated
    cache.refresh(outdated, version(JOB, number, uid))
    assert [(stored.resource_version, stored.uid) for stored in cache] == [(number, uid)]


def test_a_read_replaces_nothing_that_came_meanwhile(cache: KindCache[Job]) -> None:
    cache.put(version(JOB, 10))
    outdated = cache.get(JOB_KEY)
    assert outdated
    cache.put(version(JOB, 12))
    cache.refresh(outdated, version(JOB, 11))
    assert [stored.resource_version for stored in cache] == [12]
    cache.remove(JOB)
    cache.refresh(outdated, version(JOB, 13))
    assert list(cache) == []


def test_followers_of_a_training() -> None:
    cache, ref = Cache(), TRAINING_REF
    cache.evaluations.put(
        evaluation({"trainingRef": {"apiVersion": ref.api_version, "kind": ref.kind, "name": ref.name}})
    )
    assert cache.followers(ref) == [KEY]
    assert cache.followers(ref._replace(namespace="other")) == []


def test_a_watch_overrules_a_request() -> None:
    trainings, ref = Cache().trainings, TRAINING_REF
    trainings.begin_watch(TRAINING_SCOPE)
    trainings.put_read(ref, training())
    assert trainings.get(ref)
    trainings.put_watched(ref, None)
    trainings.put_read(ref, training())
    assert ref in trainings
    assert trainings.get(ref) is None


def test_nothing_is_kept_of_what_is_not_watched() -> None:
    trainings, ref = Cache().trainings, TRAINING_REF
    trainings.put_read(ref, training())
    assert ref not in trainings
    trainings.begin_watch(TRAINING_SCOPE)
    trainings.put_watched(ref, training())
    assert ref in trainings
    trainings.end_watch(TRAINING_SCOPE)
    assert ref not in trainings
    assert not trainings.is_watched(ref)


@pytest.mark.parametrize(("namespace", "is_watched"), [(None, True), ("team", True), ("other", False)])
def test_a_watch_may_be_of_one_namespace(namespace: str | None, is_watched: bool) -> None:
    trainings = Cache().trainings
    trainings.begin_watch(TRAINING_SCOPE._replace(namespace=namespace))
    assert trainings.is_watched(TRAINING_REF) is is_watched


def test_trainings_that_nothing_follows_are_forgotten() -> None:
    cache = Cache()
    cache.trainings.begin_watch(TRAINING_SCOPE)
    cache.trainings.put_watched(TRAINING_REF, training())
    cache.forget_unfollowed_trainings()
    assert list(cache.trainings) == []


def test_a_list_comes_in_parts(cache: KindCache[Job]) -> None:
    cache.put(version(JOB, 10))
    first, second = version(job(evaluation(), "first"), 11), version(job(evaluation(), "second"), 12)
    cache.take_page(Page([first], 20, is_last=False))
    assert cache.get(JOB_KEY)
    cache.take_page(Page([second], 20, is_first=False))
    assert [stored.name for stored in cache] == ["first", "second"]


def test_a_list_that_broke_off_leaves_nothing_behind(cache: KindCache[Job]) -> None:
    cache.take_page(Page([version(JOB, 10)], 20, is_last=False))
    cache.take_page(Page([], 30))
    assert list(cache) == []


def test_an_object_that_changes_its_owner_is_found_by_the_new_one(cache: KindCache[Job]) -> None:
    cache.put(version(JOB, 10))
    moved = version(JOB, 11)
    moved["metadata"]["labels"] = {**JOB["metadata"]["labels"], "sidecareval.dev/name": "other"}
    cache.put(moved)
    assert cache.keys_of(KEY) == []
    assert cache.keys_of(Key("team", "other")) == [JOB_KEY]


def test_each_change_of_a_resource_is_told() -> None:
    changes: list[tuple[Key, int | None]] = []

    def changed(key: Key, stored: SidecarEvaluation | None) -> None:
        changes.append((key, stored.resource_version if stored else None))

    cache, resource = Cache(changed), evaluation()
    for number in (10, 11, 11):
        cache.evaluations.put(version(resource, number))
    cache.evaluations.replace([], 20)
    assert changes == [(KEY, 10), (KEY, 11), (KEY, None)]


def test_of_trainings_only_the_outline_is_kept() -> None:
    cache = Cache()
    cache.trainings.put_watched(TRAINING_REF, {**training(Running="True"), "spec": {"template": "x" * 9999}})
    stored = cache.trainings.get(TRAINING_REF)
    assert stored
    assert stored.has_true("Running")
    assert "spec" not in stored.raw
