"""`SidecarEvaluator` as an object: its attributes, and what `start` says of values that it cannot use.

What an evaluation does is in `scenarios/test_keras2_behaviour.py`; nothing here reads a model.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sidecar_evaluator import SidecarEvaluator
from sidecar_evaluator.errors import ConfigurationError


class Model:
    """As much of a model as `start` looks at before it imports TensorFlow."""

    def evaluate(self) -> None:
        raise AssertionError("must not be called")


def evaluator(**attributes: Any) -> SidecarEvaluator:
    return SidecarEvaluator(**{"model": Model(), "data": [1.0], "checkpoint_dir": "ckpt", **attributes})


def test_every_argument_is_an_attribute_of_the_same_name() -> None:
    model, data, callbacks = Model(), [1.0], [object()]
    sidecar = SidecarEvaluator(model, data, "ckpt", 3, 4, callbacks)
    assert (sidecar.model, sidecar.data, sidecar.checkpoint_dir) == (model, data, "ckpt")
    assert (sidecar.steps, sidecar.max_evaluations) == (3, 4)
    assert sidecar.callbacks is callbacks
    assert evaluator(include=["a*"], exclude=["b*"]).include == ["a*"]


def test_what_is_left_out_has_the_defaults_of_keras_2() -> None:
    sidecar = SidecarEvaluator(Model(), [1.0], "ckpt")
    assert (sidecar.steps, sidecar.max_evaluations, sidecar.callbacks) == (None, None, [])
    assert evaluator(callbacks=None).callbacks == []


def test_the_constructor_accepts_any_values_and_creates_nothing(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    values: Any = (None, None, None, "many", "all", object())
    sidecar = SidecarEvaluator(*values)
    assert tuple(vars(sidecar).values()) == (*values, (), ())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("model", None, "SidecarEvaluator's model is a NoneType; give a compiled Keras model."),
        ("model", "model.keras", "SidecarEvaluator's model is a str; give a compiled Keras model."),
        ("data", None, "SidecarEvaluator has no data; give a tf.data.Dataset, arrays, or a dict of datasets."),
        ("data", {}, "SidecarEvaluator has no data; give a tf.data.Dataset, arrays, or a dict of datasets."),
        ("checkpoint_dir", None, "SidecarEvaluator's checkpoint_dir is None; give the path of a directory."),
        ("checkpoint_dir", "", "SidecarEvaluator's checkpoint_dir is ''; give the path of a directory."),
        ("checkpoint_dir", b"ckpt", "SidecarEvaluator's checkpoint_dir is b'ckpt'; give the path of a directory."),
        (
            "checkpoint_dir",
            "gs://runs/42",
            "SidecarEvaluator's checkpoint_dir is the URL gs://runs/42; mount the bucket, for example with gcsfuse, "
            "and give the path of the mounted directory.",
        ),
        ("steps", 0, "SidecarEvaluator's steps is 0; it must be a whole number above 0, or None."),
        ("steps", 2.5, "SidecarEvaluator's steps is 2.5; it must be a whole number above 0, or None."),
        ("steps", True, "SidecarEvaluator's steps is True; it must be a whole number above 0, or None."),
        ("callbacks", object(), "SidecarEvaluator's callbacks is a object; give a list of callbacks."),
        ("exclude", "best*", "SidecarEvaluator's exclude is 'best*'; it must be a list of patterns such as ['best*']."),
        ("include", [7], "SidecarEvaluator's include is [7]; it must be a list of patterns such as ['best*']."),
        (
            "max_evaluations",
            -1,
            "SidecarEvaluator's max_evaluations is -1; it must be a whole number above 0, or None.",
        ),
        (
            "max_evaluations",
            "9",
            "SidecarEvaluator's max_evaluations is '9'; it must be a whole number above 0, or None.",
        ),
    ],
)
@pytest.mark.parametrize("how", ["argument", "attribute"])
def test_start_says_what_is_wrong_where_and_what_to_do(how: str, attribute: str, value: Any, message: str) -> None:
    sidecar = evaluator(**{attribute: value} if how == "argument" else {})
    setattr(sidecar, attribute, value)
    with pytest.raises(ConfigurationError) as caught:
        sidecar.start()
    assert str(caught.value) == message
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("limit", [None, 0])
def test_without_a_limit_start_goes_on_to_the_model(limit: int | None) -> None:
    with pytest.raises(ConfigurationError, match=r"has no metrics; call model\.compile"):
        evaluator(max_evaluations=limit).start()


@pytest.mark.parametrize("value", [3, np.int64(3), np.array(3)])
def test_whole_numbers_of_numpy_are_as_good(value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"has no metrics; call model\.compile"):
        evaluator(steps=value, max_evaluations=value).start()


def test_callbacks_may_be_added_until_start() -> None:
    sidecar = evaluator()
    sidecar.callbacks.append("first")  # type: ignore[attr-defined]
    assert evaluator().callbacks == [], "each object has a list of its own"
    assert sidecar.callbacks == ["first"]
