"""Orbax arrays: a missing or truncated data file is detected, in zarr directories and OCDBT databases."""

import json
import shutil
from pathlib import Path

import pytest

from sidecar_evaluator.checkpoints.orbax.format import Orbax
from sidecar_evaluator.checkpoints.reader import read_checkpoint
from sidecar_evaluator.errors import CheckpointIncompatible, CheckpointUnreadable
from unit.evaluator.support.architectures import randomized
from unit.evaluator.support.looking import is_same, look, only, read
from unit.evaluator.support.models import ModelFactory
from unit.evaluator.support.saving import orbax_manager
from unit.evaluator.support.sparse import BLOCK, write_late, write_with_hole


def test_a_lost_array_is_no_zero(factory: ModelFactory, tmp_path: Path) -> None:
    """Without OCDBT each array is a directory, and a missing chunk would be read as the fill value."""
    import orbax.checkpoint as ocp

    saved, model = randomized(factory.model()), factory.model()
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler(use_ocdbt=False)) as checkpointer:
        checkpointer.save(tmp_path / "7", args=ocp.args.PyTreeSave({"params": saved.get_weights()}))
    assert is_same(read(Orbax(), tmp_path, model), saved.get_weights())
    checkpoint = only(Orbax(), tmp_path)
    (tmp_path / "7" / "params.0" / "0.0").unlink()
    assert look(Orbax(), directory=tmp_path)["7"].missing == "its array params.0 is missing"
    with pytest.raises(CheckpointUnreadable):
        read_checkpoint(checkpoint, model)
    metadata = json.loads((tmp_path / "7" / "_METADATA").read_text())
    (tmp_path / "7" / "_METADATA").write_text(json.dumps({**metadata, "store_array_data_equal_to_fill_value": False}))
    with pytest.raises(CheckpointIncompatible, match="save with a newer version of Orbax"):
        read_checkpoint(checkpoint, model)


@pytest.mark.parametrize("is_ocdbt", [True, False])
def test_a_data_file_with_a_hole_is_not_complete(is_ocdbt: bool, factory: ModelFactory, tmp_path: Path) -> None:
    import orbax.checkpoint as ocp

    saved, model = randomized(factory.model(4096)), factory.model(4096)
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler(use_ocdbt=is_ocdbt)) as checkpointer:
        checkpointer.save(tmp_path / "7", args=ocp.args.PyTreeSave({"params": saved.get_weights()}))
    large = [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size > 2 * BLOCK]
    late = {path: write_with_hole(path, path.read_bytes(), 0) for path in large}  # not all of them are needed
    missing = look(Orbax(), directory=tmp_path)["7"].missing
    assert ("of its data files are missing or not written whole" if is_ocdbt else "its array params.") in missing
    for path, block in late.items():
        write_late(path, block, 0)
    assert is_same(read(Orbax(), tmp_path, model), saved.get_weights())


def test_tables_of_several_levels_are_measured_to_the_last_file(factory: ModelFactory, tmp_path: Path) -> None:
    """Orbax merges the databases of the processes into one, whose nodes remain in the directories of the processes."""
    import tensorstore as ts

    orbax_manager({"params": factory.model().get_weights()}, tmp_path, 7)
    item = tmp_path / "7" / "default"
    source = ts.KvStore.open({"driver": "ocdbt", "base": f"file://{item}/"}).result()
    written = {key: source.read(key).result().value for key in source.list().result()}
    for path in (item / "manifest.ocdbt", item / "d", item / "ocdbt.process_0"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    small = {"max_decoded_node_bytes": 300, "max_inline_value_bytes": 10}
    context = ts.Context()
    parts, whole = (
        ts.KvStore.open({"driver": "ocdbt", "base": f"file://{path}/", "config": small}, context=context).result()
        for path in (item / "ocdbt.process_0", item)
    )
    with ts.Transaction(atomic=True) as transaction:
        for key, value in written.items():
            parts.with_transaction(transaction)[key] = value
    with ts.Transaction(atomic=True) as transaction:
        parts.experimental_copy_range_to(whole.with_transaction(transaction)).result()
    manifest = ts.ocdbt.dump(ts.KvStore.open(f"file://{item}/").result()).result()
    assert manifest["versions"][-1]["root_height"] >= 1
    assert not look(Orbax(), directory=tmp_path)["7"].missing
    data = [path for path in item.rglob("d/*") if path.stat().st_size]
    assert len(data) == 2
    for path in data:
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 10])  # the end may belong only to the database of the process
        assert "data files are missing or not written" in look(Orbax(), directory=tmp_path)["7"].missing
        path.write_bytes(content)
