"""Fixtures of the tests that use real models; TensorFlow is imported only where one is asked for."""

import importlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sidecar_evaluator.checkpoints.prefetcher import Prefetcher
from sidecar_evaluator.discovery.iterator import CheckpointIterator, Policy
from sidecar_evaluator.discovery.selection import Selection
from sidecar_evaluator.entrypoint import Evaluation
from sidecar_evaluator.evaluator import ModelEvaluator
from sidecar_evaluator.loop import Loop
from sidecar_evaluator.results.ledger import Results, Rules
from unit.evaluator.support.copied_best import LAYOUTS, Scene
from unit.evaluator.support.fakes import FakeChangeWaiter, FakeClock, FakeWriter
from unit.evaluator.support.models import ModelFactory

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

KERAS_AND_NUMPY = "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let Keras 3 call TensorFlow's variables as NumPy 2 no longer likes it."""
    if "factory" in getattr(item, "fixturenames", ()):
        item.add_marker(pytest.mark.filterwarnings(KERAS_AND_NUMPY))


@pytest.fixture(params=["keras", "tf_keras"])
def factory(request: pytest.FixtureRequest) -> ModelFactory:
    """Keras 3 and tf_keras, one after the other."""
    return ModelFactory(importlib.import_module(request.param))


@pytest.fixture
def evaluate_all(tmp_path: Path) -> Callable[..., Results]:
    """Evaluate what is in the test's directory, as after the end of training; return the ledger."""

    def run(evaluation: Evaluation, selection: Selection = Selection.EVERY, **loop: Any) -> Results:
        from sidecar_evaluator.discovery.directory import Directory

        stop, clock = threading.Event(), FakeClock()
        evaluator = ModelEvaluator(evaluation, stop)
        evaluator.prepare()
        checkpoints = CheckpointIterator(
            directory=Directory(tmp_path),
            policy=Policy(selection),
            clock=clock,
            stop=stop,
            changes=FakeChangeWaiter(clock, stop),
            training_finished=lambda _listing: True,
        )
        prefetcher = Prefetcher(evaluator.read)
        return Loop(checkpoints, evaluator, prefetcher, FakeWriter(), clock, Rules(history_limit=50), **loop).run()

    return run


@pytest.fixture(params=list(LAYOUTS))
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Scene:
    """Copies of the best, of checkpoints of each layout."""
    return Scene(tmp_path, request.param)


@pytest.fixture
def simple(tmp_path: Path) -> Scene:
    """Copies of the best where the layout of checkpoints does not matter."""
    return Scene(tmp_path)
