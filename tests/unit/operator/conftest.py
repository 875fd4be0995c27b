import pytest

from unit.operator.support.samples import evaluation
from unit.operator.support.world import World


@pytest.fixture
def world() -> World:
    world = World()
    world.client.put(evaluation())
    return world
