import io
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cluster.errors import ClusterError
from cluster.progress import Progress
from images.layout import Layout
from images.local import LocalImages, export
from images.recipes import OPERATOR
from unit.images.samples import NAME, add

ENVIRON = {"BASE_IMAGE": "base"}


@dataclass
class Storage:
    """Stands in for the builder's storage: one image of two layers."""

    source: Layout
    written: list[str] = field(default_factory=list)

    def manifest(self, image: str) -> bytes:
        stored = self.source.image(NAME)
        assert stored
        return stored.content

    def layers(self, image: str) -> dict[str, str]:
        stored = self.source.image(NAME)
        assert stored
        return {digest: f"id of {digest}" for digest in stored.layers}

    def write_layer(self, layer: str, path: Path) -> None:
        self.written.append(layer)
        path.write_bytes(self.source.blob(layer.removeprefix("id of ")).read_bytes())

    def write_config(self, image: str, digest: str, path: Path) -> None:
        path.write_bytes(self.source.blob(digest).read_bytes())


def images(folder: Path) -> LocalImages:
    return LocalImages(folder, ENVIRON, Progress(io.StringIO()))


def test_an_unchanged_tree_starts_no_other_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subprocess.run", lambda *_, **__: pytest.fail("a program was started"))
    local = images(tmp_path)
    now = OPERATOR.fingerprint(local.root, local.arguments(OPERATOR))
    built = add(local.layout, b"base", b"code", name=OPERATOR.reference, fingerprint=now)
    assert local.ensure(OPERATOR) == built


def test_an_image_that_is_not_built_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="images build operator"):
        images(tmp_path).require(OPERATOR)


def test_a_user_who_is_not_root_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(ClusterError, match="as root"):
        images(tmp_path).ensure(OPERATOR)


def test_an_export_copies_only_new_layers(tmp_path: Path) -> None:
    storage, layout = Storage(Layout(tmp_path / "source")), Layout(tmp_path / "oci")
    first = add(storage.source, b"base", b"old")
    export(storage, "image", layout, NAME, "f")
    second = add(storage.source, b"base", b"new")
    export(storage, "image", layout, NAME, "g")
    assert layout.image(NAME) == second.__class__(NAME, "g", second.content)
    assert storage.written == [f"id of {digest}" for digest in [*first.layers, second.layers[1]]]
