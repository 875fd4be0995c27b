"""Compares the vocabularies of lookup layers with those of the training, where a checkpoint holds them.

A vocabulary decides which row of a weight belongs to which word, but it is no variable: it stays that of the entry
point's model. Another one gives a plausible but wrong score. Every format calls `compare` before it returns weights
and passes what its files hold. This module must not change the model, which may be under evaluation.
"""

import logging
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sidecar_evaluator.checkpoints.model_code import code_of_model
from sidecar_evaluator.checkpoints.model_variables import layers_named
from sidecar_evaluator.errors import CheckpointIncompatible

_log = logging.getLogger(__name__)

LOOKUP_LAYERS = ("StringLookup", "IntegerLookup", "TextVectorization")
ASSET = "vocabulary.txt"
"""The name of the file in which Keras saves a vocabulary that a layer has learned."""

INNER_LAYER = "_lookup_layer"
"""Where a TextVectorization keeps a lookup layer with the same vocabulary."""


@dataclass(frozen=True)
class SavedVocabulary:
    """The tokens of a checkpoint, one a line; `is_asset` if Keras has put the special tokens before them."""

    text: str
    is_asset: bool


@dataclass(frozen=True)
class _Vocabulary:
    """The tokens of a layer of the entry point's model, after as many special tokens, such as the unknown one."""

    layer: str
    special: Sequence[str]
    tokens: Sequence[str]

    def is_same(self, saved: SavedVocabulary) -> bool:
        tokens = "\n".join(self.tokens)
        if saved.is_asset:
            return self._lines_of(saved) == tokens.split("\n")
        return saved.text in {tokens, "\n".join((*self.special, *self.tokens))}

    def difference(self, saved: SavedVocabulary) -> str:
        lines = saved.text.split("\n")
        if saved.is_asset or lines[: len(self.special)] == list(self.special):
            lines = self._lines_of(saved)
        pairs = zip(self.tokens, lines, strict=False)
        differing = (f"{ours!r} is {theirs!r} in the checkpoint" for ours, theirs in pairs if ours != theirs)
        return next(differing, f"{len(self.tokens)} tokens are {len(lines)} in the checkpoint")

    def _lines_of(self, saved: SavedVocabulary) -> list[str]:
        return saved.text.split("\n")[len(self.special) :] or [""]


class VocabularyCheck:
    """Compares the vocabularies of the last model; says once that a format holds none."""

    def __init__(self) -> None:
        self._last: tuple[weakref.ref[Any], tuple[_Vocabulary, ...]] | None = None
        self._has_warned = False

    def compare(self, model: Any, saved: Callable[[], Iterable[SavedVocabulary]] = tuple) -> None:
        """Compare the model's vocabularies with those that `saved` reads; it is called if the model has any.

        Raises CheckpointIncompatible: they differ.
        ModelCodeError: a layer cannot say its vocabulary.
        """
        unmatched = list(self._of(model))
        if not unmatched:
            return
        extra = []
        for vocabulary in saved():
            same = next((candidate for candidate in unmatched if candidate.is_same(vocabulary)), None)
            unmatched.remove(same) if same else extra.append(vocabulary)
        if unmatched and extra:
            raise CheckpointIncompatible(
                f"The vocabulary of {unmatched[0].layer} differs from the training's: "
                f"{unmatched[0].difference(extra[0])}; adapt the entry point's layer to the same data."
            )
        self._warn_of(unmatched)

    def _of(self, model: Any) -> tuple[_Vocabulary, ...]:
        if self._last is None or self._last[0]() is not model:
            with code_of_model():
                self._last = weakref.ref(model), tuple(map(_vocabulary, _lookup_layers(model)))
        return self._last[1]

    def _warn_of(self, unmatched: Sequence[_Vocabulary]) -> None:
        if unmatched and not self._has_warned:
            self._has_warned = True
            _log.warning(
                "The checkpoints do not hold the vocabulary of %s: it is that of the entry point's model, and scores "
                "are right only if that was adapted to the same data as in the training.",
                ", ".join(vocabulary.layer for vocabulary in unmatched),
            )


def _lookup_layers(model: Any) -> list[Any]:
    layers = layers_named(model, LOOKUP_LAYERS)
    inner = {id(getattr(layer, INNER_LAYER, None)) for layer in layers}
    return [layer for layer in layers if id(layer) not in inner]


def _vocabulary(layer: Any) -> _Vocabulary:
    tokens = [str(token) for token in layer.get_vocabulary(include_special_tokens=False)]
    everything = [str(token) for token in layer.get_vocabulary(include_special_tokens=True)]
    return _Vocabulary(str(layer.name), everything[: len(everything) - len(tokens)], tokens)
