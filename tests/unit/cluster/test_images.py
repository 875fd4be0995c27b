import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

from cluster.images import write_archive


def read(tar: tarfile.TarFile, name: str) -> bytes:
    member = tar.extractfile(name)
    assert member is not None
    return member.read()


def test_an_archive_names_its_image_and_holds_the_program(tmp_path: Path) -> None:
    (tmp_path / "program").write_bytes(b"static")
    archive = write_archive(tmp_path / "out" / "a.tar", "localhost/x:1", tmp_path / "program", "/bin/x", ["--serve"])
    with tarfile.open(archive) as tar:
        manifest: dict[str, Any] = json.loads(read(tar, "manifest.json"))[0]
        config = json.loads(read(tar, manifest["Config"]))
        layer = read(tar, manifest["Layers"][0])
    assert manifest["RepoTags"] == ["localhost/x:1"]
    assert config["config"]["Entrypoint"] == ["/bin/x", "--serve"]
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}"]


def test_the_same_program_gives_the_same_archive(tmp_path: Path) -> None:
    (tmp_path / "program").write_bytes(b"static")
    first, second = (write_archive(tmp_path / name, "x:1", tmp_path / "program", "/x").read_bytes() for name in "ab")
    assert first == second
