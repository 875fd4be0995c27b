"""The OCI image layout in the cache: blobs by digest, and an index that names the built images.

Layers are kept uncompressed under the digests that the builder gave them. An archive of the layout may leave out
blobs that the reader has already: containerd finds content by digest, wherever it came from.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

Json = dict[str, Any]

NAME = "io.containerd.image.name"
FINGERPRINT = "dev.sidecareval.inputs"
CHUNK = 1 << 20


@dataclass(frozen=True)
class Image:
    """One image of the layout, by the descriptor of its manifest."""

    name: str
    fingerprint: str
    content: bytes
    """The manifest, byte by byte."""

    @property
    def digest(self) -> str:
        """Digest of the manifest."""
        return f"sha256:{hashlib.sha256(self.content).hexdigest()}"

    @property
    def manifest(self) -> Json:
        """The manifest, read."""
        manifest: Json = json.loads(self.content)
        return manifest

    @property
    def config(self) -> str:
        """Digest of the configuration, which is the image's id."""
        return str(self.manifest["config"]["digest"])

    @property
    def layers(self) -> list[str]:
        """Digests of the layers, lowest first."""
        return [str(layer["digest"]) for layer in self.manifest["layers"]]

    @property
    def blobs(self) -> list[str]:
        """Digests of everything that the image is made of."""
        return [self.digest, self.config, *self.layers]


@dataclass(frozen=True)
class Layout:
    """An OCI image layout in a folder, which need not exist yet."""

    folder: Path

    def blob(self, digest: str) -> Path:
        """Return where the content of this digest is, or would be."""
        return self.folder / "blobs" / digest.replace(":", "/")

    def image(self, name: str) -> Image | None:
        """Return the image of this name if all of it is there."""
        for descriptor in self._descriptors():
            annotations = descriptor["annotations"]
            path = self.blob(descriptor["digest"])
            if annotations[NAME] == name and path.exists():
                image = Image(name, annotations[FINGERPRINT], path.read_bytes())
                return image if all(self.blob(digest).exists() for digest in image.blobs) else None
        return None

    def config(self, image: Image) -> Json:
        """Return the image's configuration: user, environment, entry point."""
        content: Json = json.loads(self.blob(image.config).read_bytes())
        return content

    def add_blob(self, digest: str, write: Callable[[Path], object]) -> None:
        """Let `write` fill a new file unless the blob is there; ValueError if its content has another digest."""
        path = self.blob(digest)
        if path.exists():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        write(partial)
        actual_digest = digest_of(partial)
        if actual_digest != digest:
            raise ValueError(f"the builder's blob {digest} has the digest {actual_digest}")
        partial.rename(path)

    def add_image(self, image: Image) -> None:
        """Name an image whose blobs are there, in place of the one that had the name."""
        self.add_blob(image.digest, lambda path: path.write_bytes(image.content))
        descriptor = {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": image.digest,
            "size": len(image.content),
            "annotations": {NAME: image.name, FINGERPRINT: image.fingerprint},
        }
        others = [other for other in self._descriptors() if other["annotations"][NAME] != image.name]
        self._write_index([*others, descriptor])

    def remove_unused(self) -> None:
        """Delete the blobs that no named image is made of."""
        names = [descriptor["annotations"][NAME] for descriptor in self._descriptors()]
        images = [image for image in map(self.image, names) if image]
        used = {self.blob(digest) for image in images for digest in image.blobs}
        for path in (self.folder / "blobs" / "sha256").glob("*"):
            if path not in used:
                path.unlink()

    def write_archive(self, image: Image, target: BinaryIO, without: Collection[str] = ()) -> list[str]:
        """Write the image as an OCI archive, leaving out those blobs; return the digests that went into it."""
        written = [digest for digest in image.blobs if digest not in without or digest == image.digest]
        descriptor = next(entry for entry in self._descriptors() if entry["digest"] == image.digest)
        with tarfile.open(fileobj=target, mode="w") as tar:
            _add(tar, "oci-layout", {"imageLayoutVersion": "1.0.0"})
            _add(tar, "index.json", {"schemaVersion": 2, "manifests": [descriptor]})
            for digest in written:
                tar.add(self.blob(digest), f"blobs/{digest.replace(':', '/')}")
        return written

    def _descriptors(self) -> Iterator[Json]:
        index = self.folder / "index.json"
        if index.exists():
            yield from json.loads(index.read_text())["manifests"]

    def _write_index(self, descriptors: list[Json]) -> None:
        (self.folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        partial = self.folder / "index.json.partial"
        partial.write_text(json.dumps({"schemaVersion": 2, "manifests": descriptors}, indent=1))
        partial.rename(self.folder / "index.json")


def digest_of(path: Path) -> str:
    """Return the digest of a file's content, as `sha256:…`."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _add(tar: tarfile.TarFile, name: str, content: Json) -> None:
    encoded = json.dumps(content).encode()
    entry = tarfile.TarInfo(name)
    entry.size = len(encoded)
    tar.addfile(entry, io.BytesIO(encoded))
