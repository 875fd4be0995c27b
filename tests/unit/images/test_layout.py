import io
import json
import tarfile
from pathlib import Path

import pytest

from images.layout import Image, Layout
from unit.images.samples import NAME, add, digest


def archived(layout: Layout, image: Image, without: set[str]) -> tuple[set[str], dict[str, object]]:
    """Return the digests in an archive, and its index."""
    buffer = io.BytesIO()
    layout.write_archive(image, buffer, without=without)
    buffer.seek(0)
    with tarfile.open(fileobj=buffer) as tar:
        file = tar.extractfile("index.json")
        assert file is not None
        blobs = {name.removeprefix("blobs/").replace("/", ":") for name in tar.getnames() if name.startswith("blobs/")}
        return blobs, json.loads(file.read())


def test_an_image_is_found_by_its_name(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    image = add(layout, b"base", b"code")
    assert layout.image(NAME) == image
    assert layout.config(image)["config"] == {"User": "65532:65532"}
    assert layout.image("another") is None


def test_an_empty_folder_has_no_image(tmp_path: Path) -> None:
    assert Layout(tmp_path / "none").image(NAME) is None


def test_an_image_with_a_lost_layer_is_no_image(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    image = add(layout, b"base", b"code")
    layout.blob(image.layers[0]).unlink()
    assert layout.image(NAME) is None


def test_a_blob_with_another_digest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has the digest"):
        Layout(tmp_path).add_blob(digest(b"wanted"), lambda path: path.write_bytes(b"given"))
    assert not Layout(tmp_path).blob(digest(b"wanted")).exists()


def test_a_blob_that_is_there_is_not_written_again(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.add_blob(digest(b"x"), lambda path: path.write_bytes(b"x"))
    layout.add_blob(digest(b"x"), lambda path: pytest.fail("written again"))


def test_a_newer_image_takes_the_name_and_leaves_no_blob_behind(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    other = add(layout, b"base", b"evaluator", name="evaluator")
    old = add(layout, b"base", b"old")
    new = add(layout, b"base", b"new", fingerprint="g")
    layout.remove_unused()
    assert layout.image(NAME) == new
    assert layout.image("evaluator") == other
    assert not layout.blob(old.layers[1]).exists()


def test_an_archive_leaves_out_what_the_reader_has(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    image = add(layout, b"base", b"code")
    blobs, index = archived(layout, image, without={image.layers[0], image.digest})
    assert blobs == {image.digest, image.config, image.layers[1]}
    assert [entry["digest"] for entry in index["manifests"]] == [image.digest]  # type: ignore[attr-defined]


def test_an_archive_holds_all_for_a_reader_that_has_nothing(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    image = add(layout, b"base", b"code")
    add(layout, b"base", b"evaluator", name="evaluator")
    blobs, _ = archived(layout, image, without=set())
    assert blobs == set(image.blobs)
