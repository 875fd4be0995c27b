from dataclasses import dataclass, field

import pytest

from sidecar_operator.kube_objects import KubeObject, WarningEvent
from sidecar_operator.seldom_reads import BURST, KEPT_SECONDS, LONGEST_SECONDS, PER_SECOND, SeldomReads


@dataclass
class Events:
    """Counts how often the events of which object are read, and at what time."""

    now: float = 1000.0
    read: list[tuple[float, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.warnings = SeldomReads(self.list_warnings, lambda: self.now)

    async def list_warnings(self, obj: KubeObject) -> list[WarningEvent]:
        self.read.append((self.now, obj.uid))
        return [WarningEvent("FailedMount", f"read at {self.now:g}")]


@pytest.fixture
def events() -> Events:
    return Events()


def blocked(uid: str = "uid-1") -> KubeObject:
    return KubeObject({"metadata": {"uid": uid}})


async def test_in_between_the_last_answer_is_given(events: Events) -> None:
    for age in (3.0, 3.5, 5.0):
        events.now = 1000.0 + age
        assert await events.warnings.about(blocked(), age) == [WarningEvent("FailedMount", "read at 1003")]
    assert events.warnings.seconds_until_due(blocked()) == 4.0


async def test_an_object_is_read_seldomer_the_older_it_is(events: Events) -> None:
    for second in range(3, 2000):
        events.now = 1000.0 + second
        await events.warnings.about(blocked(), float(second))
    assert [at - 1000 for at, _ in events.read] == [3, 9, 27, 81, 243, 543, 843, 1143, 1443, 1743]


async def test_all_objects_together_are_read_at_a_limited_rate(events: Events) -> None:
    objects = [blocked(f"uid-{number}") for number in range(100)]
    for second in range(3, 34):
        events.now = 1000.0 + second
        for obj in objects:
            await events.warnings.about(obj, float(second))
    assert BURST <= len(events.read) <= BURST + 30 * PER_SECOND
    assert len({uid for _, uid in events.read}) > BURST + 25 * PER_SECOND  # and no object is read twice before the rest


async def test_a_moment_that_was_granted_is_used(events: Events) -> None:
    for number in range(BURST + 1):
        await events.warnings.about(blocked(f"uid-{number}"), 3.0)
    last = blocked(f"uid-{BURST}")
    assert await events.warnings.about(last, 3.0) == []
    events.now += events.warnings.seconds_until_due(last)
    assert await events.warnings.about(last, 3.0)


async def test_objects_that_nobody_asks_about_are_forgotten(events: Events) -> None:
    await events.warnings.about(blocked("gone"), 3.0)
    events.now += KEPT_SECONDS + LONGEST_SECONDS
    await events.warnings.about(blocked(), 3.0)
    assert list(events.warnings._readings) == ["uid-1"]
