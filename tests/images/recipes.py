"""What each image is made from: its Dockerfile, its build arguments and the files that it copies.

The fingerprint of these inputs says whether an image must be built again. Nothing is built or read from a
container tool here.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

COMMON = (".dockerignore", "pyproject.toml", "uv.lock")
"""Files that both images are made from."""

OWN = ("Dockerfile", "pyproject.toml", "uv.txt", "build.txt")
"""Files in an image's own folder that it is made from, beside the sources."""


@dataclass(frozen=True)
class Recipe:
    """One image: its name and the folder of its Dockerfile and sources, below the repository's root."""

    name: str
    folder: str
    flavoured: bool = False
    """Whether its Dockerfile takes the argument TENSORFLOW."""

    @property
    def short(self) -> str:
        """The name on the command line and in progress lines."""
        return self.name.removeprefix("sidecar-")

    @property
    def reference(self) -> str:
        """The image's full name, as the node knows it."""
        return f"docker.io/library/{self.name}:dev"

    @property
    def dockerfile(self) -> str:
        """Path of the Dockerfile below the root."""
        return f"{self.folder}/Dockerfile"

    def arguments(self, base: str, flavour: str) -> dict[str, str]:
        """Return the build arguments; an empty base leaves the Dockerfile's own default."""
        chosen = {"BASE_IMAGE": base, "TENSORFLOW": flavour if self.flavoured else ""}
        return {name: value for name, value in chosen.items() if value}

    def fingerprint(self, root: Path, arguments: dict[str, str]) -> str:
        """Return a sum over arguments, names and contents of everything that the build reads, in hexadecimal."""
        digest = hashlib.sha256(repr(sorted(arguments.items())).encode())
        for path in self.inputs(root):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{path.relative_to(root)}\0{content}\n".encode())
        return digest.hexdigest()

    def inputs(self, root: Path) -> Iterator[Path]:
        """Yield the files that the build reads, in a fixed order."""
        yield from (root / name for name in (*COMMON, *(f"{self.folder}/{name}" for name in OWN)))
        for path in sorted((root / self.folder / "src").rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path


OPERATOR = Recipe("sidecar-operator", "operator")
EVALUATOR = Recipe("sidecar-evaluator", "evaluator_image", flavoured=True)
ALL = (OPERATOR, EVALUATOR)
