"""Measures images as a registry would store them: each layer compressed with gzip.

Layers above the base are split by the Python distribution that owns each file, so that what the project adds to
the base and TensorFlow is one number. A layer is compressed once; the result is kept by its digest.
"""

import json
import re
import tarfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from images.layout import CHUNK, Image, Layout

OTHER = "(no distribution)"
TENSORFLOW = ("tensorflow", "tensorflow-cpu")
SITE_PACKAGES = re.compile(r"^opt/venv/lib/python3\.\d+/site-packages/")
BYTECODE = re.compile(r"^(?P<folder>.*/)?__pycache__/(?P<name>[^/]+)\.cpython-\d+\.pyc$")
REQUIREMENT = re.compile(r"^Requires-Dist: ([A-Za-z0-9._-]+)(?!.*extra ==)", re.MULTILINE)


@dataclass
class Distributions:
    """Who owns which file of the environment, and who needs whom."""

    owners: dict[str, str] = field(default_factory=dict)
    needs: dict[str, set[str]] = field(default_factory=dict)

    def owner(self, path: str) -> str:
        """Return the distribution that owns a path of the image, or OTHER; bytecode belongs to its source."""
        inside, substitutions = SITE_PACKAGES.subn("", path)
        if not substitutions:
            return OTHER
        compiled = BYTECODE.match(inside)
        source = f"{compiled['folder'] or ''}{compiled['name']}.py" if compiled else inside
        return self.owners.get(source, OTHER)

    def closure(self, names: Iterable[str]) -> set[str]:
        """Return these distributions and all that they need."""
        reached: set[str] = set()
        waiting = [name for name in names if name in self.needs]
        while waiting:
            name = waiting.pop()
            if name not in reached:
                reached.add(name)
                waiting.extend(self.needs.get(name, ()))
        return reached & self.needs.keys()


def distributions(layer: Path) -> Distributions:
    """Read the metadata of the distributions in a layer's site-packages."""
    installed = Distributions()
    for path, content in _metadata(layer):
        name = _normal(path.parent.name.removesuffix(".dist-info").rsplit("-", 1)[0])
        if path.name == "RECORD":
            installed.owners |= {line.rsplit(",", 2)[0]: name for line in content.splitlines()}
        else:
            installed.needs[name] = set(map(_normal, REQUIREMENT.findall(content)))
    return installed


def sizes_by_owner(layer: Path, installed: Distributions) -> Counter[str]:
    """Return the bytes of a layer after compression, by the distribution that owns them."""
    compressors = defaultdict[str, Any](partial(zlib.compressobj, 6))
    total: Counter[str] = Counter()
    with tarfile.open(layer) as tar:
        for member in tar:
            owner = installed.owner(member.name)
            for chunk in _chunks(tar, member):
                total[owner] += len(compressors[owner].compress(chunk))
    for owner, compressor in compressors.items():
        total[owner] += len(compressor.flush())
    return total


def measure(image: Image, layout: Layout, kept: Path) -> list[Counter[str]]:
    """Return the compressed bytes of each layer by owner, lowest layer first; `kept` is a folder of earlier results."""
    kept.mkdir(parents=True, exist_ok=True)
    results = []
    for digest in image.layers:
        file = kept / f"{digest.replace(':', '-')}.json"
        if not file.exists():
            layer = layout.blob(digest)
            file.write_text(json.dumps(sizes_by_owner(layer, distributions(layer))))
        results.append(Counter(json.loads(file.read_text())))
    return results


def report(image: Image, layout: Layout, kept: Path) -> str:
    """Return lines that say what the image weighs compressed: base, TensorFlow with all it needs, the rest by size."""
    base, *above = measure(image, layout, kept)
    per_layer = [distributions(layout.blob(digest)) for digest in image.layers[1:]]
    tensorflow = {name for installed in per_layer for name in installed.closure(TENSORFLOW)}
    total = sum(above, Counter[str]())
    rest = Counter({name: size for name, size in total.items() if name not in tensorflow})
    lines = [("all", base.total() + total.total()), ("base", base.total())]
    lines += [
        ("TensorFlow with what it needs", total.total() - rest.total()),
        ("beyond base and TensorFlow", rest.total()),
    ]
    lines += [(f"  {name}", size) for name, size in rest.most_common(12)]
    return "\n".join(f"  {size / 1e6:8.1f} MB  {name}" for name, size in lines)


def _metadata(layer: Path) -> Iterator[tuple[PurePosixPath, str]]:
    with tarfile.open(layer) as tar:
        for member in tar:
            path = PurePosixPath(member.name)
            if path.parent.suffix == ".dist-info" and path.name in {"RECORD", "METADATA"}:
                stream = tar.extractfile(member)
                yield path, stream.read().decode() if stream else ""


def _chunks(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    yield member.tobuf()
    stream = tar.extractfile(member) if member.isfile() else None
    while stream and (chunk := stream.read(CHUNK)):
        yield chunk


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
