"""What the index of a TensorFlow checkpoint says of its data shards: how many, and how long each is.

TensorFlow's reader checks this too, but only for the tensors it is asked for, and must be imported
first. Here it is read from the index alone in a millisecond, so that a copy that came only in part
is noticed without a try. Values are never read here.
"""

import struct
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

_FOOTER = 48
_MAGIC = 0xDB4775248B80FB57
_UNCOMPRESSED = 0  # the only kind of block that TensorFlow writes into an index
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types of protocol buffers
_SHARD_COUNT = 1  # fields of BundleHeaderProto
_SHARD, _OFFSET, _SIZE = 3, 4, 5  # fields of BundleEntryProto


class Malformed(ValueError):  # noqa: N818 - it describes the index
    """The bytes are not those of a whole index."""


class _Compressed(Exception):  # noqa: N818 - it describes a block
    """A block can be read by TensorFlow alone."""


@dataclass(frozen=True)
class Bundle:
    """How many data shards there are, and the bytes that each must have at least."""

    shard_count: int
    shard_sizes: dict[int, int]


def parse_index(index: bytes) -> Bundle | None:
    """Read the sizes of the data shards from the bytes of an index; None where it is compressed.

    Raises Malformed: it is cut off, or no index.
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
        raise Malformed("An entry lies in a shard that does not exist.")
    return Bundle(header[_SHARD_COUNT], dict(sizes))


def _entries(table: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield keys and values of a sorted string table: blocks of entries, found by a block of their places."""
    footer = table[-_FOOTER:]
    if len(footer) < _FOOTER or struct.unpack_from("<Q", footer, _FOOTER - 8)[0] != _MAGIC:
        raise Malformed("The footer is missing.")
    _, after = _handle(footer, 0)
    place, _ = _handle(footer, after)
    for _, handle in _block(table, place):
        yield from _block(table, _handle(handle, 0)[0])


def _block(table: bytes, place: tuple[int, int]) -> Iterator[tuple[bytes, bytes]]:
    """Yield the entries of a block; each key leaves out what it shares with the one before."""
    start, size = place
    block = table[start : start + size]
    if table[start + size] != _UNCOMPRESSED:
        raise _Compressed
    restarts = struct.unpack_from("<I", block, size - 4)[0]
    at, end, key = 0, size - 4 - 4 * restarts, b""
    while at < end:
        shared, at = _varint(block, at)
        added, at = _varint(block, at)
        length, at = _varint(block, at)
        key = key[:shared] + block[at : at + added]
        yield key, block[at + added : at + added + length]
        at += added + length


def _handle(data: bytes, at: int) -> tuple[tuple[int, int], int]:
    offset, at = _varint(data, at)
    size, at = _varint(data, at)
    return (offset, size), at


def _fields(message: bytes) -> dict[int, int]:
    """Return the integers of a protocol buffer by field; what else it holds is stepped over."""
    fields, at = {}, 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            fields[number], at = _varint(message, at)
        elif wire == _BYTES:
            length, at = _varint(message, at)
            at += length
        elif wire in (_FIXED32, _FIXED64):
            at += 4 if wire == _FIXED32 else 8
        else:
            raise Malformed(f"Unknown wire type {wire}.")
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
