"""A training as the evaluators see it: a checkpoint's files come into their directory, the last one last.

The files are those of real checkpoints, copied in the order in which training writes them. Copying needs no TensorFlow,
so that the training takes no time from the evaluators that are measured.
"""

import shutil
import time
from pathlib import Path

from benchmarks.workload import KERAS_WEIGHTS


def arrive(source: Path, directory: Path, number: int, form: str) -> float:
    """Let one checkpoint come; return the moment, of the monotonic clock, when its last byte was there."""
    if form == KERAS_WEIGHTS:
        shutil.copyfile(source / f"ckpt-{number}.weights.h5", directory / f"ckpt-{number}.weights.h5")
        return time.monotonic()
    for shard in sorted(source.glob(f"ckpt-{number}.data-*")):
        _place(shard.read_bytes(), directory / shard.name)
    _place((source / f"ckpt-{number}.index").read_bytes(), directory / f"ckpt-{number}.index")
    complete = time.monotonic()
    _place(f'model_checkpoint_path: "ckpt-{number}"\n'.encode(), directory / "checkpoint")
    return complete


def _place(content: bytes, path: Path) -> None:
    """Write under another name and rename, as TensorFlow does."""
    temporary = path.with_name(f"{path.name}.tempstate")
    temporary.write_bytes(content)
    temporary.replace(path)
