"""The layout of weights files: layers whose variables are in other layers or in attributes."""

from pathlib import Path
from typing import Any

from sidecar_evaluator.checkpoints.keras.weights_file import KerasWeights
from unit.evaluator.support import saving
from unit.evaluator.support.architectures import randomized
from unit.evaluator.support.looking import is_same, read
from unit.evaluator.support.models import ModelFactory


def test_recurrent_and_random_layers_find_their_places(factory: ModelFactory, tmp_path: Path) -> None:
    def build() -> Any:
        layers = factory.keras.layers
        inputs = layers.Input((4,))
        hidden = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(layers.Reshape((4, 1))(inputs))
        hidden = layers.Dropout(0.5)(layers.GaussianNoise(1.0)(layers.GRU(3)(hidden)))
        return factory.compiled(factory.keras.Model(inputs, layers.Dense(2)(hidden)))

    saved, model = randomized(build()), build()
    saving.weights_file(saved, tmp_path)
    assert is_same(read(KerasWeights(), tmp_path, model), saved.get_weights())
