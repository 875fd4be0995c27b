"""Vocabularies of lookup layers: compared where the format holds them, and said where it does not."""

import importlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sidecar_evaluator.checkpoints.reader import read_checkpoint
from sidecar_evaluator.errors import CheckpointIncompatible
from unit.evaluator.support.looking import look
from unit.evaluator.support.models import ModelFactory
from unit.evaluator.support.saving import SAVERS, Saver

ADAPTED, GIVEN, WITH_SPECIAL_TOKENS, TEXT = "adapted", "given", "given with the unknown token", "text"
WORDS = ["red", "green", "blue"]
PAIRS = [
    (saver, name) for saver in SAVERS for name in ("keras", "tf_keras") if name == "keras" or not saver.keras3_only
]
HOLDS = {"Keras": {ADAPTED, GIVEN, WITH_SPECIAL_TOKENS, TEXT}, "Orbax": {ADAPTED, TEXT}}


@pytest.fixture(params=PAIRS, ids=lambda pair: f"{pair[0]}-{pair[1]}", scope="module")
def pair(request: pytest.FixtureRequest) -> tuple[Saver, ModelFactory]:
    saver, name = request.param
    return saver, ModelFactory(importlib.import_module(name))


@pytest.fixture
def factory(pair: tuple[Saver, ModelFactory]) -> ModelFactory:
    return pair[1]


@pytest.fixture
def saver(pair: tuple[Saver, ModelFactory]) -> Saver:
    return pair[0]


def build(factory: ModelFactory, kind: str, words: Sequence[str]) -> Any:
    """Build a model of the usual size; of adapted words the first is the most frequent."""
    layers = factory.keras.layers
    texts = np.array([word for count, word in enumerate(reversed(words), 1) for _ in range(count)])
    if kind == TEXT:
        lookup = layers.TextVectorization(output_mode="multi_hot")
    elif kind == ADAPTED:
        lookup = layers.StringLookup(output_mode="multi_hot")
    else:
        vocabulary = ["[UNK]", *words] if kind == WITH_SPECIAL_TOKENS else list(words)
        lookup = layers.StringLookup(vocabulary=vocabulary, output_mode="multi_hot")
    if kind in {TEXT, ADAPTED}:
        lookup.adapt(texts)
    inputs = layers.Input((1,), dtype="string")
    return factory.compiled(factory.keras.Model(inputs, layers.Dense(2)(lookup(inputs))))


@pytest.mark.parametrize("kind", [ADAPTED, GIVEN, WITH_SPECIAL_TOKENS, TEXT])
def test_another_vocabulary_is_refused_where_the_format_holds_it_and_else_said_once(
    kind: str, saver: Saver, factory: ModelFactory, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    saver.save(build(factory, kind, WORDS), tmp_path, 1)
    checkpoint_format = saver.format()
    (checkpoint,) = look(checkpoint_format, directory=tmp_path).values()
    same, other = build(factory, kind, WORDS), build(factory, kind, ["red", "blue", "green"])
    with caplog.at_level(logging.WARNING):
        read_checkpoint(checkpoint, same)
    is_held = kind in HOLDS.get(checkpoint_format.name, ())
    assert ("do not hold the vocabulary of" in caplog.text) is not is_held
    caplog.clear()
    if is_held:
        with pytest.raises(CheckpointIncompatible, match="differs from the training's: 'blue' is 'green' in the check"):
            read_checkpoint(checkpoint, other)
    else:
        read_checkpoint(checkpoint, other)
        assert "vocabulary" not in caplog.text


@pytest.mark.parametrize("pair", [pair for pair in PAIRS if pair[0].format().name == "Keras"], indirect=True)
def test_a_vocabulary_that_was_adapted_is_compared_with_one_that_was_given(
    saver: Saver, factory: ModelFactory, tmp_path: Path
) -> None:
    """As when the training adapts the layer, and the entry point reads the words from a file of its own."""
    for number, kind in enumerate((ADAPTED, GIVEN), 1):
        saver.save(build(factory, kind, WORDS), tmp_path, number)
    models = [build(factory, kind, WORDS) for kind in (ADAPTED, GIVEN, WITH_SPECIAL_TOKENS)]
    others = [build(factory, kind, ["red", "blue", "green"]) for kind in (ADAPTED, GIVEN, WITH_SPECIAL_TOKENS)]
    for checkpoint in look(saver.format(), directory=tmp_path).values():
        for model, other in zip(models, others, strict=True):
            read_checkpoint(checkpoint, model)
            with pytest.raises(CheckpointIncompatible, match="differs from the training's"):
                read_checkpoint(checkpoint, other)
