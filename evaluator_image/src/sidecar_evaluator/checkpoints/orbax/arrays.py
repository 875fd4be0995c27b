"""Reads the arrays of an Orbax step with tensorstore, without importing Orbax or JAX.

An item of a step contains one tree: its `_METADATA` lists the leaves, and an OCDBT database or one zarr directory
per leaf contains the arrays. Only `orbax.format` uses this module; it must not know models.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sidecar_evaluator.checkpoints.holes import has_hole
from sidecar_evaluator.checkpoints.orbax.tree import Leaf
from sidecar_evaluator.errors import CheckpointIncompatible

METADATA = "_METADATA"
_ARRAY_FILES = {False: ".zarray", True: "zarr.json"}  # of zarr 2 and 3


@dataclass(frozen=True)
class Item:
    """One tree of a step, and the storage format in which Orbax wrote it."""

    path: Path
    name: str
    leaves: tuple[Leaf, ...]
    is_ocdbt: bool
    is_zarr3: bool
    is_dense: bool

    def spec(self, array: str) -> dict[str, Any]:
        """Return the tensorstore spec of an array."""
        base = {"driver": "file", "path": f"{self.path}/"}
        store: dict[str, Any] = {"driver": "ocdbt", "base": base, "path": f"{array}/"}
        if not self.is_ocdbt:
            store = {"driver": "file", "path": f"{self.path}/{array}/"}
        return {
            "driver": "zarr3" if self.is_zarr3 else "zarr",
            "kvstore": store,
            "fill_missing_data_reads": not self.is_dense,  # otherwise a lost chunk would be read as zeros
        }


def items_of(step: Path) -> Iterator[Item]:
    """Yield the trees of a step; the step itself is one if Orbax saved it without a CheckpointManager.

    Raises ValueError, KeyError: metadata is incomplete.
    """
    subdirectories = sorted(path for path in step.iterdir() if (path / METADATA).is_file())
    for path in [step] if (step / METADATA).is_file() else subdirectories:
        metadata = json.loads((path / METADATA).read_bytes())
        item = _item(path, "" if path == step else path.name, metadata)
        if item.leaves:  # the tree of a model's configuration contains only strings
            yield item


def missing_files(item: Item) -> str:
    """Return which data files of an item are missing, or shorter than its OCDBT database requires.

    Raises ValueError: the database is incomplete.
    """
    if not item.is_ocdbt:
        missing = [leaf.array for leaf in item.leaves if not _has_array(item, leaf.array)]
        return f"its array {missing[0]} is missing" if missing else ""
    short = [file for file, size in _required_sizes(item.path).items() if not _is_long_enough(item.path / file, size)]
    return f"{len(short)} of its data files are missing or not written whole" if short else ""


def open_arrays(wanted: Sequence[tuple[Item, str]]) -> list[Any]:
    """Open arrays by name: this reads their shapes, not their values.

    Raises ValueError: an array does not exist.
    CheckpointIncompatible: a lost chunk of an array could not be detected.
    """
    import tensorstore as ts

    for item, _ in wanted:
        if not item.is_ocdbt and not item.is_dense:
            raise CheckpointIncompatible(
                "The checkpoint was written by a version of Orbax that omits chunks of zeros, so that a lost chunk "
                "could not be detected; save with a newer version of Orbax, or with use_ocdbt=True."
            )
    context = ts.Context()
    futures = [ts.open(item.spec(name), open=True, read=True, context=context) for item, name in wanted]
    return [future.result() for future in futures]


def read_arrays(arrays: Sequence[Any]) -> list[Any]:
    """Read opened arrays concurrently."""
    futures = [array.read() for array in arrays]
    return [future.result() for future in futures]


def _item(path: Path, name: str, metadata: dict[str, Any]) -> Item:
    leaves = (
        Leaf(name, tuple(str(key["key"]) for key in leaf["key_metadata"]))
        for leaf in metadata.get("tree_metadata", {}).values()
        if not leaf["value_metadata"].get("skip_deserialize") and leaf["value_metadata"].get("value_type") != "string"
    )
    return Item(
        path,
        name,
        tuple(leaves),
        is_ocdbt=bool(metadata.get("use_ocdbt", True)),
        is_zarr3=bool(metadata.get("use_zarr3", False)),
        is_dense=bool(metadata.get("store_array_data_equal_to_fill_value", False)),
    )


def _has_array(item: Item, array: str) -> bool:
    directory, metadata_file = item.path / array, _ARRAY_FILES[item.is_zarr3]
    if not directory.is_dir():
        return False
    sizes = {path: path.stat().st_size for path in directory.rglob("*") if path.is_file()}
    is_there = len(sizes) > 1 and directory / metadata_file in sizes and all(sizes.values())
    return is_there and not any(has_hole(path, size) for path, size in sizes.items())


def _required_sizes(directory: Path) -> dict[str, int]:
    """Walk the B-tree of an OCDBT database; return the minimum size of each of its data files in bytes."""
    import tensorstore as ts

    base = ts.KvStore.open({"driver": "file", "path": f"{directory}/"}).result()
    manifest = ts.ocdbt.dump(base).result()
    pending = [version["root"].get("location") for version in manifest["versions"][-1:]]
    sizes: defaultdict[str, int] = defaultdict(int)
    while pending:
        location = pending.pop()
        if location is None:  # an empty database, or a value that is stored inline
            continue
        kind, *file_parts, offset, length = location.split(":")
        file = "".join(file_parts)
        sizes[file] = max(sizes[file], int(offset) + int(length))
        if kind == "btreenode" and _is_long_enough(directory / file, sizes[file]):
            entries = ts.ocdbt.dump(base, location).result()["entries"]
            pending += [entry.get("indirect_value") or entry.get("location") for entry in entries]
    return dict(sizes)


def _is_long_enough(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size >= size and not has_hole(path, size)
