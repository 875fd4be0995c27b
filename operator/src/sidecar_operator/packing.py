"""Objects in little memory: as JSON, compressed with what the objects of one kind have in common.

`cache` keeps every object packed and unpacks it for a pass. A Kubernetes object takes ten times the memory of its JSON
as Python's dictionaries and strings, and the objects of one kind differ in little more than names and identifiers.
"""

import json
import zlib

from sidecar_operator.kube_objects import JsonObject

WINDOW_BITS = 13
"""How far back, in powers of two of a byte, zlib looks for what repeats; larger takes more time for each object."""
MEMORY_LEVEL = 6
VERSION_BYTES = 8
"""The resourceVersion stands before the rest, so that it is read without unpacking."""


class Packer:
    """Packs objects of one kind; the first one is what the others are compared with."""

    def __init__(self) -> None:
        self._common = b""

    def pack(self, raw: JsonObject, version: int) -> bytes:
        """Return the object, of this resourceVersion, as bytes."""
        text = json.dumps(raw, separators=(",", ":"), ensure_ascii=False).encode(errors="surrogatepass")
        self._common = self._common or text[: 1 << WINDOW_BITS]
        compressor = zlib.compressobj(wbits=-WINDOW_BITS, memLevel=MEMORY_LEVEL, zdict=self._common)
        return version.to_bytes(VERSION_BYTES) + compressor.compress(text) + compressor.flush()

    def unpack(self, packed: bytes) -> JsonObject:
        """Return the object that was packed."""
        decompressor = zlib.decompressobj(wbits=-WINDOW_BITS, zdict=self._common)
        text = decompressor.decompress(packed[VERSION_BYTES:])
        return dict(json.loads(text.decode(errors="surrogatepass")))


def version_of(packed: bytes) -> int:
    """Return the resourceVersion of a packed object."""
    return int.from_bytes(packed[:VERSION_BYTES])
