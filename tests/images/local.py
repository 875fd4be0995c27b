"""Builds images for the local node: buildah on the Debian root, the result kept in the OCI layout of the cache.

An image whose inputs are unchanged is left alone, before any other program is started.
"""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Protocol

from cluster import mounts, preflight
from cluster.errors import ClusterError
from cluster.progress import Progress
from images import base, buildah
from images.buildah import Buildah
from images.layout import Image, Layout
from images.recipes import Recipe

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {**buildah.TOOLS, "mmdebstrap": "mmdebstrap"}
"""Program: the Debian package that brings it."""


@dataclass(frozen=True)
class LocalImages:
    """The images of one cache folder; `environ` may name BASE_IMAGE and TENSORFLOW."""

    folder: Path
    environ: Mapping[str, str]
    progress: Progress
    root: Path = ROOT

    @property
    def layout(self) -> Layout:
        """Where the built images are."""
        return Layout(self.folder / "oci")

    @cached_property
    def builder(self) -> Buildah:
        """buildah, installed if it is missing; ClusterError where it cannot be."""
        if os.geteuid() != 0:
            raise ClusterError(
                "images for the local node are built as root", "run as root, or name your own: CONTAINER_TOOL=docker"
            )
        missing = [package for program, package in PACKAGES.items() if not shutil.which(program)]
        if missing:
            preflight.install(missing, self.progress, shutil.which("apt-get"))
        return Buildah.open(self.folder, self.environ, self.progress)

    def arguments(self, recipe: Recipe) -> dict[str, str]:
        """Return the build arguments: the local base and tensorflow-cpu, unless the environment says otherwise."""
        chosen = self.environ.get("BASE_IMAGE") or base.reference(base.release())
        return recipe.arguments(chosen, self.environ.get("TENSORFLOW") or "cpu")

    def ensure(self, recipe: Recipe) -> Image:
        """Return the image of what is in the tree now, building it if it is not there."""
        arguments = self.arguments(recipe)
        fingerprint = recipe.fingerprint(self.root, arguments)
        image = self.layout.image(recipe.reference)
        if image and image.fingerprint == fingerprint:
            self.progress.say(f"{recipe.short}: up to date")
            return image
        with self._tidied():
            return self._build(recipe, arguments, fingerprint)

    def _build(self, recipe: Recipe, arguments: dict[str, str], fingerprint: str) -> Image:
        self._base()
        self.progress.say(f"{recipe.short}: building")
        built = self.builder.build(recipe, self.root, arguments)
        image = export(self.builder, built, self.layout, recipe.reference, fingerprint)
        self.layout.remove_unused()
        self.progress.say(f"{recipe.short}: built")
        return image

    def require(self, recipe: Recipe) -> Image:
        """Return the image built last; ClusterError if there is none."""
        image = self.layout.image(recipe.reference)
        if image is None:
            raise ClusterError(f"{recipe.name} has not been built", f"python -m images build {recipe.short}")
        return image

    def clean(self) -> None:
        """Delete everything that was built; the overlay driver leaves a mount that goes first."""
        mounts.detach_below(self.folder)
        if self.folder.exists():
            shutil.rmtree(self.folder)

    def ensure_base(self) -> str:
        """Return the name of the base image, making it if it is the local one and not there."""
        with self._tidied():
            return self._base()

    def _base(self) -> str:
        chosen = self.environ.get("BASE_IMAGE")
        return chosen or base.ensure(self.builder, base.release(), self.environ)

    @contextmanager
    def _tidied(self) -> Iterator[None]:
        builder = self.builder
        try:
            yield
        finally:
            builder.tidy()


class Storage(Protocol):
    """Where a builder keeps images: what `export` asks of it."""

    def manifest(self, image: str) -> bytes:
        """Return an image's manifest."""

    def layers(self, image: str) -> dict[str, str]:
        """Return the storage's ids of the layers by their digests."""

    def write_layer(self, layer: str, path: Path) -> None:
        """Write a layer's tar to a file."""

    def write_config(self, image: str, digest: str, path: Path) -> None:
        """Write an image's configuration to a file."""


def export(builder: Storage, built: str, layout: Layout, name: str, fingerprint: str) -> Image:
    """Copy what the layout lacks of an image from the builder's storage, and name it."""
    image = Image(name, fingerprint, builder.manifest(built))
    ids = builder.layers(built)
    for digest in image.layers:
        layout.add_blob(digest, partial(builder.write_layer, ids[digest]))
    layout.add_blob(image.config, partial(builder.write_config, built, image.config))
    layout.add_image(image)
    return image
