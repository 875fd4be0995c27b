import io
import random
import tarfile
from pathlib import Path

import pytest

from images.layout import Layout
from images.sizes import OTHER, Distributions, distributions, measure, report, sizes_by_owner
from unit.images.samples import add

SITE = "opt/venv/lib/python3.11/site-packages"
NOISE = random.Random(7).randbytes(200_000)
NEEDS = b"Name: x\nRequires-Dist: Num_Py>=2\nRequires-Dist: kubernetes ; extra == 'y'\n"
FILES = {
    f"{SITE}/tensorflow_cpu-2.21.0.dist-info/METADATA": NEEDS,
    f"{SITE}/tensorflow_cpu-2.21.0.dist-info/RECORD": b"tensorflow/core.so,sha256=x,200000\n",
    f"{SITE}/tensorflow/core.so": NOISE,
    f"{SITE}/num_py-2.0.dist-info/METADATA": b"Name: y\n",
    f"{SITE}/num_py-2.0.dist-info/RECORD": b"numpy/core.py,sha256=x,50000\n",
    f"{SITE}/numpy/core.py": NOISE[:50_000],
    f"{SITE}/numpy/__pycache__/core.cpython-311.pyc": NOISE[50_000:80_000],
    f"{SITE}/kubernetes-1.dist-info/METADATA": b"Requires-Dist: num-py ; python_version > '3'\n",
    f"{SITE}/kubernetes-1.dist-info/RECORD": b"kubernetes/__init__.py,,\n",
    f"{SITE}/kubernetes/__init__.py": NOISE[:20_000],
    "opt/venv/bin/python": b"",
}


def tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    path = tmp_path / "layer.tar"
    path.write_bytes(tar(FILES))
    return path


def test_tensorflow_comes_with_what_it_needs_and_no_extra(layer: Path) -> None:
    assert distributions(layer).closure(["tensorflow", "tensorflow-cpu"]) == {"tensorflow-cpu", "num-py"}


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        (f"{SITE}/numpy/core.py", "num-py"),
        (f"{SITE}/numpy/__pycache__/core.cpython-311.pyc", "num-py"),
        (f"{SITE}/unknown.py", OTHER),
        ("usr/bin/python3", OTHER),
    ],
)
def test_files_have_owners(layer: Path, path: str, owner: str) -> None:
    assert distributions(layer).owner(path) == owner


def test_noise_weighs_what_it_is_and_zeros_weigh_little(tmp_path: Path) -> None:
    path = tmp_path / "layer.tar"
    path.write_bytes(tar({"noise": NOISE, "zeros": bytes(10_000_000)}))
    assert len(NOISE) < sizes_by_owner(path, Distributions())[OTHER] < len(NOISE) + 20_000


def test_the_report_splits_base_tensorflow_and_the_rest(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "oci")
    image = add(layout, tar({"base": NOISE}), tar(FILES), tar({"code": b"x"}))
    printed = report(image, layout, tmp_path / "sizes")
    assert [line.split(None, 2)[::2] for line in printed.splitlines()[:4]] == [
        ["0.5", "all"],
        ["0.2", "base"],
        ["0.3", "TensorFlow with what it needs"],
        ["0.0", "beyond base and TensorFlow"],
    ]
    assert "kubernetes" in printed


def test_a_layer_is_compressed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Layout(tmp_path / "oci")
    image = add(layout, tar({"base": NOISE}))
    first = measure(image, layout, tmp_path / "sizes")
    monkeypatch.setattr("zlib.compressobj", lambda *_: pytest.fail("compressed again"))
    assert measure(image, layout, tmp_path / "sizes") == first
