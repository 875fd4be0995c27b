"""Formats of a single file: empty files and files of another kind are never complete."""

from pathlib import Path

import pytest

from sidecar_evaluator.checkpoints.registry import FORMATS
from unit.evaluator.support.looking import look


@pytest.mark.parametrize("content", [b"", b"not hdf5 at all", b"\x89HDF\r\n\x1a\n" + bytes(40)])
@pytest.mark.parametrize(("kind", "suffix"), [("KerasWeights", ".weights.h5"), ("Keras", ".keras")])
def test_what_is_of_another_kind_is_never_complete(kind: str, suffix: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / f"a{suffix}").write_bytes(content)
    assert look(FORMATS[kind](), directory=tmp_path)["a"].missing
