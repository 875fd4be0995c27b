"""Mounts for each test, TensorFlow for all of them; a machine that cannot mount is an error, never a skipped test."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.preflight import Machine
from cluster.programs import Programs
from cluster.progress import Progress
from cluster.settings import Settings
from mounts import preflight
from mounts.checkpoints import Specimens, make_specimens
from mounts.control import FaultyMount, faulty
from mounts.evaluating import Scorer
from mounts.faults import Faults
from mounts.mount import own_namespace
from mounts.process import Warm
from mounts.process import warm as started
from mounts.servers import PROGRAMS
from mounts.training import small_evaluation
from unit.evaluator.conftest import KERAS_AND_NUMPY

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let Keras 3 call TensorFlow's variables as NumPy 2 no longer likes it, and Orbax use what JAX has renamed."""
    for warning in (KERAS_AND_NUMPY, "ignore::DeprecationWarning", "ignore:.*shuffle.*:UserWarning"):
        item.add_marker(pytest.mark.filterwarnings(warning))


@pytest.fixture(scope="session", autouse=True)
def machine() -> None:
    """Make sure that mounting is possible, and that the kernel takes every mount away with this process."""
    preflight.check(Machine.this(), Progress())
    own_namespace()


@pytest.fixture(scope="session")
def programs() -> Programs:
    """Return the built programs."""
    built = Programs.of(Settings.from_environment().cache, Progress())
    built.build(PROGRAMS)
    return built


@pytest.fixture(scope="session")
def scorer() -> Scorer:
    """Return a small model that is ready to score checkpoints."""
    return Scorer(small_evaluation())


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    """Return what starts evaluators as processes."""
    with started(tmp_path_factory.mktemp("warm") / "log") as processes:
        yield processes


@pytest.fixture(scope="session")
def specimens(tmp_path_factory: pytest.TempPathFactory) -> Specimens:
    """Return two checkpoints of different weights in each format."""
    return make_specimens(tmp_path_factory.mktemp("specimens"))


@pytest.fixture(scope="module")
def faulty_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyMount]:
    """Mount one faulty file system for the tests of a module."""
    with faulty(tmp_path_factory.mktemp("faulty")) as mount:
        yield mount


@pytest.fixture
def mount(faulty_module: FaultyMount) -> Iterator[FaultyMount]:
    """Return the module's faulty file system without a fault, and leave it so."""
    faulty_module.switch(Faults())
    yield faulty_module
    faulty_module.switch(Faults())


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    """Return a folder of the test for mounts and logs."""
    return tmp_path


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests have measured."""
    passed = terminalreporter.stats.get("passed", [])
    measurements = [value for report in passed for name, value in report.user_properties if name == "measured"]
    if measurements:
        terminalreporter.section("measured")
        for line in sorted(measurements):
            terminalreporter.write_line(str(line))
