import pytest

from sidecar_operator.cache import Cache
from sidecar_operator.following import POLL_SECONDS, TrainingFollower
from sidecar_operator.kube_objects import JsonObject
from sidecar_operator.resource_view import SidecarEvaluation, TrainingRef
from sidecar_operator.training_state import Absence, Training
from sidecar_operator.training_status import State
from unit.operator.support.fake_kube_client import FakeKubeClient
from unit.operator.support.samples import EARLIER, NOW, TRAINING_REF, evaluation, training
from unit.operator.support.world import TRAINING_SCOPE

REF = {"apiVersion": "kubeflow.org/v1", "kind": "TFJob", "name": "train"}
RUNNING: JsonObject = {"state": "Running", "uid": "uid-train", "followedSince": EARLIER, "message": "runs"}


class Bench:
    """A follower whose cache and API server may differ."""

    def __init__(self) -> None:
        self.client, self.cache = FakeKubeClient(), Cache()
        self.requested: list[TrainingRef] = []
        self.follower = TrainingFollower(self.client, self.cache, self.requested.append)
        self.cache.trainings.begin_watch(TRAINING_SCOPE)

    def watched(self, raw: JsonObject | None) -> None:
        self.cache.trainings.put_watched(TRAINING_REF, raw)

    async def follow(self, recorded: JsonObject, *, is_over: bool = False, keeps_end: bool = False) -> Training:
        followed = await self.follower.follow(
            SidecarEvaluation(evaluation({"trainingRef": REF}, {"training": recorded})),
            NOW,
            is_over=is_over,
            keeps_end=keeps_end,
        )
        assert followed
        return followed


@pytest.fixture
def bench() -> Bench:
    return Bench()


def another(**conditions: str) -> JsonObject:
    second = training(**conditions)
    return {**second, "metadata": {**second["metadata"], "uid": "uid-second"}}


async def test_no_training_is_followed_where_none_is_named(bench: Bench) -> None:
    nothing = SidecarEvaluation(evaluation())
    assert await bench.follower.follow(nothing, NOW, is_over=False, keeps_end=False) is None


@pytest.mark.parametrize("outdated", [None, training(Succeeded="True")])
async def test_an_end_is_recorded_only_for_an_object_that_is_read_afresh(
    bench: Bench, outdated: JsonObject | None
) -> None:
    bench.watched(outdated)
    bench.client.trainings[TRAINING_REF] = another(Running="True")
    followed = await bench.follow(RUNNING)
    assert (followed.state, followed.uid) == (State.RUNNING, "uid-second")


async def test_an_end_that_is_recorded_is_not_read_again(bench: Bench) -> None:
    bench.watched(training(Succeeded="True"))
    bench.client.trainings[TRAINING_REF] = training(Succeeded="True")
    ended = await bench.follow(RUNNING)
    assert bench.client.calls == ["get training"]
    assert (await bench.follow(ended.to_json())).to_json() == ended.to_json()
    assert bench.client.calls == ["get training"]


@pytest.mark.parametrize("observed", [another(Running="True"), another(Succeeded="True"), Absence.NOT_FOUND])
async def test_an_evaluation_that_is_over_follows_no_other_object(bench: Bench, observed: JsonObject | Absence) -> None:
    bench.client.trainings[TRAINING_REF] = observed
    followed = await bench.follow(RUNNING, is_over=True)
    assert (followed.state, followed.uid) == (State.GONE, "uid-train")


async def test_an_end_that_is_final_is_kept_without_a_look(bench: Bench) -> None:
    recorded = RUNNING | {"state": "Gone", "finishedAt": EARLIER}
    bench.client.trainings[TRAINING_REF] = another(Running="True")
    assert (await bench.follow(recorded, keeps_end=True)).to_json() == recorded
    assert bench.client.calls == []
    assert (await bench.follow(recorded)).uid == "uid-second"


@pytest.mark.parametrize(
    ("kind", "state", "is_over", "seconds"),
    [
        ("TFJob", State.RUNNING, False, None),
        ("Other", State.RUNNING, False, POLL_SECONDS),
        ("Other", State.RUNNING, True, POLL_SECONDS),
        ("Other", State.GONE, False, POLL_SECONDS),
        ("Other", State.GONE, True, None),
    ],
)
def test_a_training_without_a_watch_is_polled(
    bench: Bench, kind: str, state: State, is_over: bool, seconds: float | None
) -> None:
    followed = Training(TRAINING_REF._replace(kind=kind), state, "")
    assert bench.follower.seconds_to_poll(followed, is_over=is_over) == seconds
    assert bench.follower.seconds_to_poll(None, is_over=is_over) is None


@pytest.mark.parametrize("answer", [training(Running="True"), Absence.NOT_FOUND])
async def test_a_watched_training_is_read_once(bench: Bench, answer: JsonObject | Absence) -> None:
    bench.client.trainings[TRAINING_REF] = answer
    await bench.follow({})
    await bench.follow({})
    assert bench.client.calls == ["get training"]
    assert bench.requested == []


async def test_a_kind_without_a_watch_gets_one(bench: Bench) -> None:
    bench.cache.trainings.end_watch(TRAINING_SCOPE)
    bench.client.trainings[TRAINING_REF] = training(Running="True")
    await bench.follow({})
    await bench.follow({})
    assert bench.client.calls == ["get training"] * 2
    assert bench.requested == [TRAINING_REF] * 2
