"""Parses the index of a TensorFlow checkpoint for the number and sizes of its data shards.

`tensorflow.format` uses it to detect an incomplete copy. TensorFlow's own reader checks only the tensors that it
reads, and importing it takes seconds; parsing the index takes a millisecond. This module must not import
TensorFlow or read tensors.
"""

import struct
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

_FOOTER = 48
_MAGIC = 0xDB4775248B80FB57
_UNCOMPRESSED = 0  # the only block type that TensorFlow writes into an index
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types of protocol buffers
_SHARD_COUNT = 1  # fields of BundleHeaderProto
_SHARD, _OFFSET, _SIZE = 3, 4, 5  # fields of BundleEntryProto


class Malformed(ValueError):  # noqa: N818 - it describes the index
    """The bytes are not a complete index."""


class _Compressed(Exception):  # noqa: N818 - it describes a block
    """A block is compressed, so that only TensorFlow can read it."""


@dataclass(frozen=True)
class Bundle:
    """The number of data shards, and the minimum size of each in bytes."""

    shard_count: int
    shard_sizes: dict[int, int]


def parse_index(index: bytes) -> Bundle | None:
    """Return number and sizes of the data shards from the bytes of an index; None if it is compressed.

    Raises Malformed: the bytes are truncated or not an index.
    """
    try:
        return _bundle(dict(_entries(index)))
    except _Compressed:
        return None
    except (IndexError, KeyError, struct.error) as error:
        raise Malformed(str(error)) from error


def _bundle(entries: dict[bytes, bytes]) -> Bundle:
    header = _fields(entries.pop(b""))
    sizes: defaultdict[int, int] = defaultdict(int)
    for entry in map(_fields, entries.values()):
        shard = entry.get(_SHARD, 0)
        sizes[shard] = max(sizes[shard], entry.get(_OFFSET, 0) + entry.get(_SIZE, 0))
    if not sizes.keys() <= set(range(header.get(_SHARD_COUNT, 0))):
        raise Malformed("An entry refers to a shard that does not exist.")
    return Bundle(header[_SHARD_COUNT], dict(sizes))


def _entries(table: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys and values of a sorted string table: blocks of entries, listed in an index block."""
    footer = table[-_FOOTER:]
    if len(footer) < _FOOTER or struct.unpack_from("<Q", footer, _FOOTER - 8)[0] != _MAGIC:
        raise Malformed("The footer is missing.")
    _, index_offset = _handle(footer, 0)
    index_block, _ = _handle(footer, index_offset)
    for _, handle in _block(table, index_block):
        yield from _block(table, _handle(handle, 0)[0])


def _block(table: bytes, handle: tuple[int, int]) -> Iterator[tuple[bytes, bytes]]:
    """Yield the entries of a block; each key is stored without the prefix that it shares with the previous one."""
    start, size = handle
    block = table[start : start + size]
    if table[start + size] != _UNCOMPRESSED:
        raise _Compressed
    restarts = struct.unpack_from("<I", block, size - 4)[0]
    at, end, key = 0, size - 4 - 4 * restarts, b""
    while at < end:
        prefix, at = _varint(block, at)
        suffix, at = _varint(block, at)
        length, at = _varint(block, at)
        key = key[:prefix] + block[at : at + suffix]
        yield key, block[at + suffix : at + suffix + length]
        at += suffix + length


def _handle(data: bytes, at: int) -> tuple[tuple[int, int], int]:
    offset, at = _varint(data, at)
    size, at = _varint(data, at)
    return (offset, size), at


def _fields(message: bytes) -> dict[int, int]:
    """Return the integer fields of a protocol buffer by field number; other fields are skipped."""
    fields, at = {}, 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == _VARINT:
            fields[number], at = _varint(message, at)
        elif wire_type == _BYTES:
            length, at = _varint(message, at)
            at += length
        elif wire_type in (_FIXED32, _FIXED64):
            at += 4 if wire_type == _FIXED32 else 8
        else:
            raise Malformed(f"Unknown wire type {wire_type}.")
    return fields


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
