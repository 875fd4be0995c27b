"""The contract of formats: each name in a directory is claimed by one format at most."""

import pytest

from sidecar_evaluator.checkpoints.registry import FORMATS

CLAIMS = {
    "ckpt-1.index": ("TensorFlow", "ckpt-1"),
    "ckpt-1.data-00000-of-00002": ("TensorFlow", "ckpt-1"),
    "a.b-7.data-00012-of-00020": ("TensorFlow", "a.b-7"),
    "ckpt-1.weights.h5": ("KerasWeights", "ckpt-1"),
    "ckpt-1.weights.json": ("KerasWeights", "ckpt-1"),
    "ckpt-1.keras": ("Keras", "ckpt-1"),
    "7/": ("Orbax", "7"),
    "step_0007/": ("Orbax", "step_0007"),
}

UNCLAIMED = [
    "checkpoint",
    "checkpoint.tmp1234",
    "notes.txt",
    "ckpt-1.data-0-of-1",
    "ckpt-1.data-00000-of-00001.tempstate9876543210",
    "ckpt-1.index.tempstate9876543210",
    "ckpt-1_temp/",
    ".ckpt-1.weights.h5",
    ".ckpt-1.keras",
    ".ckpt-1.index",
    ".index",
    ".keras",
    "ckpt-1.weights.h5.part",
    "ckpt-1.h5",
    "ckpt-1.keras/",
    "ckpt-1.weights.h5/",
    "ckpt-1.index/",
    "saved_model/",
    "train/",
    "7.orbax-checkpoint-tmp-17/",
    "7",
]


@pytest.mark.parametrize("entry", [*CLAIMS, *UNCLAIMED])
def test_an_entry_is_claimed_by_one_format_at_most(entry: str) -> None:
    name, is_directory = entry.rstrip("/"), entry.endswith("/")
    claims = {kind: make().claim(name, is_directory=is_directory) for kind, make in FORMATS.items()}
    expected = [CLAIMS[entry]] if entry in CLAIMS else []
    assert [(kind, claimed) for kind, claimed in claims.items() if claimed is not None] == expected
