import tarfile
from pathlib import Path

import pytest

from images.layout import Layout
from images.node import NodeImages
from unit.images.samples import NAME, add


class Ctr:
    """A node's image store: answers the three commands that are used, and keeps what was imported."""

    def __init__(self) -> None:
        self.images: dict[str, str] = {}
        self.content: set[str] = set()
        self.imported: list[set[str]] = []
        self.broken = False

    def __call__(self, *arguments: str) -> str:
        match arguments:
            case ("images", "list"):
                rows = [f"{name} application/vnd.oci {digest} 1.0 MiB -" for name, digest in self.images.items()]
                return "\n".join(["REF TYPE DIGEST SIZE PLATFORMS LABELS", *rows])
            case ("content", "list", "--quiet"):
                return "\n".join(self.content)
            case ("images", "import", archive):
                self._import(Path(archive))
        return ""

    def _import(self, archive: Path) -> None:
        if self.broken:
            raise RuntimeError("no space left")
        with tarfile.open(archive) as tar:
            blobs = {name[6:].replace("/", ":") for name in tar.getnames() if name.startswith("blobs/")}
        self.imported.append(blobs)
        self.content |= blobs


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "oci")


def test_a_node_without_the_image_gets_all_of_it(layout: Layout, tmp_path: Path) -> None:
    ctr, image = Ctr(), add(layout, b"base", b"code")
    assert NodeImages(ctr).load(image, layout, tmp_path / "archive.tar")
    assert ctr.imported == [set(image.blobs)]
    assert not (tmp_path / "archive.tar").exists()


def test_a_node_that_has_the_image_is_left_alone(layout: Layout, tmp_path: Path) -> None:
    ctr, image = Ctr(), add(layout, b"base", b"code")
    ctr.images[NAME] = image.digest
    assert not NodeImages(ctr).load(image, layout, tmp_path / "archive.tar")
    assert ctr.imported == []


def test_a_changed_image_brings_only_what_changed(layout: Layout, tmp_path: Path) -> None:
    ctr, old = Ctr(), add(layout, b"base", b"old")
    NodeImages(ctr).load(old, layout, tmp_path / "archive.tar")
    ctr.images[NAME] = old.digest
    new = add(layout, b"base", b"new")
    NodeImages(ctr).load(new, layout, tmp_path / "archive.tar")
    assert ctr.imported[1] == {new.digest, new.layers[1]}


def test_the_archive_is_removed_when_the_import_fails(layout: Layout, tmp_path: Path) -> None:
    ctr, image = Ctr(), add(layout, b"base", b"code")
    ctr.broken = True
    with pytest.raises(RuntimeError, match="no space left"):
        NodeImages(ctr).load(image, layout, tmp_path / "archive.tar")
    assert not (tmp_path / "archive.tar").exists()
