"""Reads the arrays of an Orbax step with tensorstore, without Orbax and JAX.

An item of a step holds one tree: its `_METADATA` lists the leaves, and a table (OCDBT) or one folder
for each leaf (zarr) holds the arrays. Used by the Orbax format alone.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sidecar_evaluator.checkpoints.orbax.tree import Leaf
from sidecar_evaluator.errors import CheckpointIncompatible

METADATA = "_METADATA"
_ARRAY_FILES = {False: ".zarray", True: "zarr.json"}  # of zarr 2 and 3


@dataclass(frozen=True)
class Item:
    """One tree of a step, and how Orbax wrote it."""

    path: Path
    name: str
    leaves: tuple[Leaf, ...]
    is_table: bool
    is_zarr3: bool
    is_dense: bool

    def spec(self, array: str) -> dict[str, Any]:
        """Return what tensorstore must know to open an array."""
        folder = {"driver": "file", "path": f"{self.path}/"}
        store: dict[str, Any] = {"driver": "ocdbt", "base": folder, "path": f"{array}/"}
        if not self.is_table:
            store = {"driver": "file", "path": f"{self.path}/{array}/"}
        return {
            "driver": "zarr3" if self.is_zarr3 else "zarr",
            "kvstore": store,
            "fill_missing_data_reads": not self.is_dense,  # or else a lost part would read as zeros
        }


def items_of(step: Path) -> Iterator[Item]:
    """Yield the trees of a step, which is one itself where Orbax saved it without a manager.

    Raises ValueError, KeyError: a description is not whole.
    """
    below = sorted(path for path in step.iterdir() if (path / METADATA).is_file())
    for path in [step] if (step / METADATA).is_file() else below:
        described = json.loads((path / METADATA).read_bytes())
        item = _item(path, "" if path == step else path.name, described)
        if item.leaves:  # a model's configuration is a tree of strings
            yield item


def missing_files(item: Item) -> str:
    """Say which data files an item lacks, or which are shorter than its table says.

    Raises ValueError: the table is not whole.
    """
    if not item.is_table:
        lacking = [leaf.array for leaf in item.leaves if not _has_array(item, leaf.array)]
        return f"its array {lacking[0]} is missing" if lacking else ""
    short = [file for file, size in _sizes(item.path).items() if not _is_long_enough(item.path / file, size)]
    return f"{len(short)} of its data files are missing or not written to the end" if short else ""


def open_arrays(wanted: Sequence[tuple[Item, str]]) -> list[Any]:
    """Open arrays by name: their shapes are known then, their values are not read.

    Raises ValueError: one is not there.
    """
    import tensorstore as ts

    for item, _ in wanted:
        if not item.is_table and not item.is_dense:
            raise CheckpointIncompatible(
                "The checkpoint was written by an Orbax that leaves out what is zero, so that a lost part would "
                "not be noticed; save with a newer Orbax, or with use_ocdbt=True."
            )
    context = ts.Context()
    futures = [ts.open(item.spec(name), open=True, read=True, context=context) for item, name in wanted]
    return [future.result() for future in futures]


def read_arrays(arrays: Sequence[Any]) -> list[Any]:
    """Read opened arrays side by side."""
    futures = [array.read() for array in arrays]
    return [future.result() for future in futures]


def _item(path: Path, name: str, described: dict[str, Any]) -> Item:
    leaves = (
        Leaf(name, tuple(str(key["key"]) for key in leaf["key_metadata"]))
        for leaf in described.get("tree_metadata", {}).values()
        if not leaf["value_metadata"].get("skip_deserialize") and leaf["value_metadata"].get("value_type") != "string"
    )
    return Item(
        path,
        name,
        tuple(leaves),
        is_table=bool(described.get("use_ocdbt", True)),
        is_zarr3=bool(described.get("use_zarr3", False)),
        is_dense=bool(described.get("store_array_data_equal_to_fill_value", False)),
    )


def _has_array(item: Item, array: str) -> bool:
    folder, description = item.path / array, _ARRAY_FILES[item.is_zarr3]
    if not folder.is_dir():
        return False
    sizes = {path.name: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    return len(sizes) > 1 and description in sizes and all(sizes.values())


def _sizes(folder: Path) -> dict[str, int]:
    """Walk a table; return the bytes that each of its data files must have at least."""
    import tensorstore as ts

    base = ts.KvStore.open({"driver": "file", "path": f"{folder}/"}).result()
    manifest = ts.ocdbt.dump(base).result()
    pending = [version["root"].get("location") for version in manifest["versions"][-1:]]
    sizes: defaultdict[str, int] = defaultdict(int)
    while pending:
        location = pending.pop()
        if location is None:  # of an empty table, or a value that the table itself holds
            continue
        kind, *place, offset, length = location.split(":")
        file = "".join(place)
        sizes[file] = max(sizes[file], int(offset) + int(length))
        if kind == "btreenode" and _is_long_enough(folder / file, sizes[file]):
            entries = ts.ocdbt.dump(base, location).result()["entries"]
            pending += [entry.get("indirect_value") or entry.get("location") for entry in entries]
    return dict(sizes)


def _is_long_enough(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size >= size
