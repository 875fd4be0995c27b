"""Small images for the tests of this folder."""

import hashlib
import json
from functools import partial
from pathlib import Path

from images.layout import Image, Layout

NAME = "docker.io/library/sidecar-operator:dev"


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def add(layout: Layout, *layers: bytes, name: str = NAME, fingerprint: str = "f") -> Image:
    """Put an image of these layers into a layout."""
    config = json.dumps({"config": {"User": "65532:65532"}, "layers": len(layers)}).encode()
    for blob in (config, *layers):
        layout.add_blob(digest(blob), partial(Path.write_bytes, data=blob))
    manifest = {"config": {"digest": digest(config)}, "layers": [{"digest": digest(layer)} for layer in layers]}
    image = Image(name, fingerprint, json.dumps(manifest).encode())
    layout.add_image(image)
    return image
