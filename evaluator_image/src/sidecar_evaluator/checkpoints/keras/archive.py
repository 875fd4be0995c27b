"""Keras archives, `NAME.keras`, written by `model.save` of Keras 3 and tf_keras.

An archive is a zip file whose member `model.weights.h5` is a weights file like any other; nothing
else in it is read, and nothing is unpacked to a name that the archive chose. It is complete when
two looks saw the same state and its directory, which is written last, is there. Its checksum is
verified each time it is read. Where the entry point brings no model, the evaluation builds it from
the first archive by `model_in`, in Keras's safe mode.
"""

import json
import os
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from sidecar_evaluator.checkpoints.compatibility import size_in_memory
from sidecar_evaluator.checkpoints.interface import Checkpoint, CheckpointFormat, Files, Weights
from sidecar_evaluator.checkpoints.keras.hdf5 import Region
from sidecar_evaluator.checkpoints.keras.layout import Layouts
from sidecar_evaluator.checkpoints.keras.reader import read_weights
from sidecar_evaluator.checkpoints.model_variables import restored_variables
from sidecar_evaluator.checkpoints.single_file import LastLook, checkpoint_named, readable, size_of
from sidecar_evaluator.errors import CheckpointIncompatible, CheckpointUnreadable, first_line

_SUFFIX = ".keras"
_WEIGHTS, _METADATA, _CONFIG = "model.weights.h5", "metadata.json", "config.json"
_LOCAL_HEADER = 30
_ENCRYPTED = 0x1
_CHUNK = 4 * 2**20
_MAX_TEXT = 256 * 2**20
_MAX_RATIO = 100
_MAX_SLOTS = 16  # an optimizer keeps two or three values for each variable
_MAX_OTHERS = 256 * 2**20


class KerasArchive(CheckpointFormat):
    """Files ending in `.keras`."""

    name = "Keras"
    loading = "model = keras.models.load_model(path)"

    def __init__(self) -> None:
        self._last_look = LastLook()
        self._layouts = Layouts()

    def claim(self, name: str, *, is_directory: bool) -> str | None:
        """Claim files by their ending."""
        return None if is_directory else checkpoint_named(name, _SUFFIX)

    def assemble(self, directory: Path, name: str, files: Files) -> Checkpoint:
        """Make a checkpoint of its file; one that changed since the last look is still being written."""
        return Checkpoint(name, directory / (name + _SUFFIX), self, (*files.values(),), self._last_look.missing(files))

    def inspect(self, checkpoint: Checkpoint) -> str:
        """Return what the archive lacks: its directory is the last that is written."""
        try:
            with checkpoint.path.open("rb") as file:
                if Region(file.fileno(), 0, size_of(file)).is_whole_hdf5():  # tf_keras, outside the main thread
                    return "it is an HDF5 file and no archive"
                with zipfile.ZipFile(file):
                    return ""
        except (zipfile.BadZipFile, EOFError, ValueError):
            return "its end is not written yet"
        except OSError as error:
            return f"it does not open: {first_line(error)}"

    def read(self, checkpoint: Checkpoint, model: Any) -> Weights:
        """Read a value for each variable of the model, and the iterations where an optimizer was saved."""
        layout = self._layouts.of(model)
        limit = size_in_memory(restored_variables(model)) * _MAX_SLOTS + _MAX_OTHERS
        with readable(checkpoint.path) as file, _weights_in(file, limit) as region:
            return read_weights(region, layout, model)

    def model_in(self, checkpoint: Checkpoint) -> Any:
        """Build the model that an archive holds, compiled as it was saved, in Keras's safe mode.

        Raises CheckpointUnreadable: the archive is damaged, or is being written.
        CheckpointIncompatible: its model cannot be built without the user's code, or not safely.
        """
        with readable(checkpoint.path) as file:
            with zipfile.ZipFile(file) as archive:
                _refuse_bombs(archive)
                version = str(json.loads(_text(archive, _METADATA)).get("keras_version"))
                _text(archive, _CONFIG)  # for its checksum: what Keras reads it as is then what was saved
            if version.startswith("2."):
                cause = f"it was written by Keras {version}, whose loader runs whatever code an archive names"
                raise _not_loadable(cause)
            with _weights_in(file, _MAX_RATIO * size_of(file)):
                return _built(checkpoint.path)


def _built(path: Path) -> Any:
    import keras

    try:
        return keras.saving.load_model(path, compile=True, safe_mode=True)
    except Exception as error:  # the archive is whole; any error is about what it describes
        raise _not_loadable(first_line(error)) from error


def _not_loadable(why: str) -> CheckpointIncompatible:
    return CheckpointIncompatible(
        f"The model cannot be built from the checkpoint alone: {why}. Return a model from the entry point."
    )


@contextmanager
def _weights_in(file: BinaryIO, limit: int) -> Iterator[Region]:
    """Yield the weights of an archive, their checksum verified; those that were compressed from a temporary file."""
    with zipfile.ZipFile(file) as archive:
        member = _member(archive, _WEIGHTS)
        if member.compress_type == zipfile.ZIP_STORED:
            region = Region(file.fileno(), _start_of(member, file), member.file_size)
            _require_checksum(region, member)
            yield region
            return
        if member.file_size > limit:
            raise CheckpointIncompatible(f"Its weights would unpack to {member.file_size} bytes, which is refused.")
        with archive.open(member) as packed, tempfile.TemporaryFile() as plain:
            shutil.copyfileobj(packed, plain, _CHUNK)
            plain.flush()
            yield Region(plain.fileno(), 0, size_of(plain))


def _member(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    """Return the only member of a name.

    Raises CheckpointIncompatible: there is none or several, or it is not as Keras writes it.
    """
    found = [member for member in archive.infolist() if member.filename == name]
    if len(found) != 1:
        raise CheckpointIncompatible(f"The archive holds {len(found) or 'no'} {name}; save it with model.save.")
    (member,) = found
    if member.flag_bits & _ENCRYPTED or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise CheckpointIncompatible(f"{name} in the archive is encrypted or packed in an unknown way.")
    return member


def _text(archive: zipfile.ZipFile, name: str) -> bytes:
    member = _member(archive, name)
    if member.file_size > _MAX_TEXT:
        raise CheckpointIncompatible(f"{name} would unpack to {member.file_size} bytes, which is refused.")
    return archive.read(member)


def _refuse_bombs(archive: zipfile.ZipFile) -> None:
    for member in archive.infolist():
        if member.file_size > max(_MAX_TEXT, _MAX_RATIO * member.compress_size):
            raise CheckpointIncompatible(
                f"{member.filename} would unpack to {member.file_size} bytes, which is refused."
            )


def _start_of(member: zipfile.ZipInfo, file: BinaryIO) -> int:
    """Return where the data of a member start, which only the header before them tells."""
    header = os.pread(file.fileno(), _LOCAL_HEADER, member.header_offset)
    if len(header) < _LOCAL_HEADER or not header.startswith(b"PK\3\4") or member.file_size != member.compress_size:
        raise zipfile.BadZipFile("The header of the weights is damaged.")
    name, extra = struct.unpack_from("<HH", header, 26)
    return int(member.header_offset + _LOCAL_HEADER + name + extra)


def _require_checksum(region: Region, member: zipfile.ZipInfo) -> None:
    buffer = memoryview(bytearray(min(_CHUNK, member.file_size)))
    checksum = offset = 0
    while count := region.read_at(buffer, offset):
        checksum = zlib.crc32(buffer[:count], checksum)
        offset += count
    if (offset, checksum) != (member.file_size, member.CRC):
        raise CheckpointUnreadable("The checksum of its weights is wrong.")
