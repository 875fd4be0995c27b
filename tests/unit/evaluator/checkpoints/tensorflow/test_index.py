"""The index of a TensorFlow checkpoint: shard sizes are parsed, and damaged bytes are malformed."""

from pathlib import Path

import pytest

from sidecar_evaluator.checkpoints.tensorflow.index import Bundle, Malformed, parse_index
from unit.evaluator.support import saving
from unit.evaluator.support.models import ModelFactory

INDEX, SHARD = "ckpt-1.index", "ckpt-1.data-00000-of-00001"


def test_an_index_tells_the_size_of_each_shard_and_is_noticed_when_it_is_cut_off(
    factory: ModelFactory, tmp_path: Path
) -> None:
    saving.tensorflow(factory.model(), tmp_path)
    index = (tmp_path / INDEX).read_bytes()
    assert parse_index(index) == Bundle(1, {0: (tmp_path / SHARD).stat().st_size})
    for length in range(len(index)):
        with pytest.raises(Malformed):
            parse_index(index[:length])


def test_no_byte_of_an_index_makes_it_loop_or_fail_otherwise(factory: ModelFactory, tmp_path: Path) -> None:
    saving.tensorflow(factory.model(), tmp_path)
    index = (tmp_path / INDEX).read_bytes()
    for position in range(0, len(index), 7):
        try:
            parse_index(index[:position] + bytes([index[position] ^ 0xFF]) + index[position + 1 :])
        except Malformed:
            continue
