"""Keras archives, `NAME.keras`, written by `model.save` of Keras 3 and tf_keras.

An archive is a zip file whose member `model.weights.h5` is an ordinary weights file. It is complete when two
listings show the same state and the zip directory, which is written last, exists; the member's checksum is
verified at each read. If the entry point returns no model, `evaluator` builds it from the first archive with
`model_in`, in Keras's safe mode. Of the other members only vocabularies are
read, no file is extracted to a name from the archive, and
code in an archive is never run.
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
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from sidecar_evaluator.checkpoints.compatibility import size_in_memory
from sidecar_evaluator.checkpoints.interface import Checkpoint, Weights
from sidecar_evaluator.checkpoints.keras.hdf5 import Region
from sidecar_evaluator.checkpoints.keras.layout import LayoutCache
from sidecar_evaluator.checkpoints.keras.reader import read_weights
from sidecar_evaluator.checkpoints.model_variables import variables_to_restore
from sidecar_evaluator.checkpoints.single_file import SingleFileFormat, open_unchanged, size_of
from sidecar_evaluator.checkpoints.vocabularies import (
    ASSET,
    INNER_LAYER,
    LOOKUP_LAYERS,
    SavedVocabulary,
    VocabularyCheck,
)
from sidecar_evaluator.errors import CheckpointIncompatible, CheckpointUnreadable, first_line

_WEIGHTS, _METADATA, _CONFIG, _ASSETS = "model.weights.h5", "metadata.json", "config.json", "assets"
_LOCAL_HEADER = 30
_ENCRYPTED = 0x1
_CHUNK = 4 * 2**20
_MAX_TEXT_BYTES = 256 * 2**20
_MAX_COMPRESSION_RATIO = 100
_MAX_SLOTS = 16  # an optimizer keeps two or three values per variable
_MAX_OTHER_BYTES = 256 * 2**20  # of metrics, random states and everything else in a weights file


class KerasArchive(SingleFileFormat):
    """Files ending in `.keras`."""

    name = "Keras"
    suffix = ".keras"
    has_checksums = True
    loading = "model = keras.models.load_model(path)"

    def __init__(self) -> None:
        super().__init__()
        self._layouts = LayoutCache()
        self._vocabularies = VocabularyCheck()

    def inspect(self, checkpoint: Checkpoint) -> str:
        """Return why the archive is incomplete: its zip directory is written last."""
        try:
            with checkpoint.path.open("rb") as file:
                if Region(file.fileno(), 0, size_of(file)).is_complete_hdf5():  # tf_keras, outside the main thread
                    return "it is an HDF5 file and no archive"
                with zipfile.ZipFile(file):
                    return ""
        except (zipfile.BadZipFile, EOFError, ValueError):
            return "its end is not written yet"
        except OSError as error:
            return f"it does not open: {first_line(error)}"

    def read(self, checkpoint: Checkpoint, model: Any) -> Weights:
        """Read a value for each variable of the model, and the iterations if an optimizer was saved."""
        layout = self._layouts.of(model)
        limit = size_in_memory(variables_to_restore(model)) * _MAX_SLOTS + _MAX_OTHER_BYTES
        with open_unchanged(checkpoint.path) as file, _weights_in(file, limit) as region:
            self._vocabularies.compare(model, partial(_vocabularies_in, file))
            return read_weights(region, layout, model)

    def model_in(self, checkpoint: Checkpoint) -> Any:
        """Build the model in an archive, compiled as it was saved, in Keras's safe mode.

        Raises CheckpointUnreadable: the archive is damaged or being written.
        CheckpointIncompatible: the model cannot be built without the user's code, or not in safe mode.
        """
        with open_unchanged(checkpoint.path) as file:
            with zipfile.ZipFile(file) as archive:
                _refuse_zip_bombs(archive)
                version = str(json.loads(_text(archive, _METADATA)).get("keras_version"))
                _text(archive, _CONFIG)  # verifies its checksum before Keras reads it
            if version.startswith("2."):
                cause = f"it was written by Keras {version}, whose loader runs any code that an archive names"
                raise _not_loadable(cause)
            with _weights_in(file, _MAX_COMPRESSION_RATIO * size_of(file)):
                return _build_model(checkpoint.path)


def _vocabularies_in(file: BinaryIO) -> Iterator[SavedVocabulary]:
    """Yield the vocabularies that layers have learned, which are assets, and those that they were given."""
    with zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            top, *parents, last = name.split("/") if "/" in name else (name, name)
            if top == _ASSETS and last == ASSET and INNER_LAYER not in parents:
                yield SavedVocabulary(_text(archive, name).decode(), is_asset=True)
        yield from _given_vocabularies(json.loads(_text(archive, _CONFIG)))


def _given_vocabularies(config: Any) -> Iterator[SavedVocabulary]:
    """Yield the vocabularies in the configuration of a model; a path to a file is none."""
    if isinstance(config, list):
        for item in config:
            yield from _given_vocabularies(item)
    elif isinstance(config, dict):
        settings = config.get("config")
        tokens = settings.get("vocabulary") if isinstance(settings, dict) else None
        if config.get("class_name") in LOOKUP_LAYERS and isinstance(tokens, list):
            yield SavedVocabulary("\n".join(map(str, tokens)), is_asset=False)
        yield from _given_vocabularies(list(config.values()))


def _build_model(path: Path) -> Any:
    import keras

    try:
        return keras.saving.load_model(path, compile=True, safe_mode=True)
    except Exception as error:  # the archive is complete, so the error is about the model that it describes
        raise _not_loadable(first_line(error)) from error


def _not_loadable(why: str) -> CheckpointIncompatible:
    return CheckpointIncompatible(
        f"The model cannot be built from the checkpoint alone: {why}. Return a model from the entry point."
    )


@contextmanager
def _weights_in(file: BinaryIO, limit: int) -> Iterator[Region]:
    """Yield the verified weights of an archive; compressed ones are decompressed into a temporary file."""
    with zipfile.ZipFile(file) as archive:
        member = _member(archive, _WEIGHTS)
        if member.compress_type == zipfile.ZIP_STORED:
            region = Region(file.fileno(), _start_of(member, file), member.file_size, is_verified=True)
            _require_checksum(region, member)
            yield region
            return
        if member.file_size > limit:
            raise CheckpointIncompatible(
                f"Its weights would decompress to {member.file_size} bytes, more than such a model can have; "
                "save it again with model.save."
            )
        with archive.open(member) as compressed, tempfile.TemporaryFile() as decompressed:
            shutil.copyfileobj(compressed, decompressed, _CHUNK)
            decompressed.flush()
            yield Region(decompressed.fileno(), 0, size_of(decompressed), is_verified=True)


def _member(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    """Return the only member with a name.

    Raises CheckpointIncompatible: there is none or several, or Keras did not write it.
    """
    members = [member for member in archive.infolist() if member.filename == name]
    if len(members) != 1:
        raise CheckpointIncompatible(f"The archive contains {len(members) or 'no'} {name}; save it with model.save.")
    (member,) = members
    if member.flag_bits & _ENCRYPTED or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise CheckpointIncompatible(
            f"{name} in the archive is encrypted or compressed by an unsupported method; save it with model.save."
        )
    return member


def _text(archive: zipfile.ZipFile, name: str) -> bytes:
    member = _member(archive, name)
    if member.file_size > _MAX_TEXT_BYTES:
        raise _too_large(member)
    return archive.read(member)


def _refuse_zip_bombs(archive: zipfile.ZipFile) -> None:
    for member in archive.infolist():
        if member.file_size > max(_MAX_TEXT_BYTES, _MAX_COMPRESSION_RATIO * member.compress_size):
            raise _too_large(member)


def _too_large(member: zipfile.ZipInfo) -> CheckpointIncompatible:
    return CheckpointIncompatible(
        f"{member.filename} would decompress to {member.file_size} bytes, more than Keras writes; save the archive "
        "again with model.save."
    )


def _start_of(member: zipfile.ZipInfo, file: BinaryIO) -> int:
    """Return the offset of a member's data, which only the local header before the data contains."""
    header = os.pread(file.fileno(), _LOCAL_HEADER, member.header_offset)
    if len(header) < _LOCAL_HEADER or not header.startswith(b"PK\3\4") or member.file_size != member.compress_size:
        raise zipfile.BadZipFile("The local header of the weights is damaged.")
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
