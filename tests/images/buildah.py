"""buildah with a storage of its own in the cache: builds a Dockerfile, and hands out manifests and layers.

`buildah push` would compress every layer again for each change. containers-storage gives a layer as the builder
made it, under the digest in the manifest, so that only what is new is copied.
"""

import json
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cluster.errors import ClusterError
from cluster.progress import Progress
from images import pruning
from images.recipes import Recipe

TOOLS = {"buildah": "buildah", "containers-storage": "containers-storage"}
"""Program: the Debian package that brings it."""

SHOWN = re.compile(r"^(\[\d+/\d+\] STEP \d+/\d+: RUN .*|Downloading .*|(Prepared|Installed|Bytecode compiled) .*)$")
"""Lines of a build that tell where it is."""


@dataclass(frozen=True)
class Buildah:
    """One storage folder of buildah; `environ` is the environment of its processes."""

    folder: Path
    driver: str
    environ: Mapping[str, str]
    progress: Progress

    @classmethod
    def open(cls, folder: Path, environ: Mapping[str, str], progress: Progress) -> "Buildah":
        """Return buildah on this folder, with the overlay driver where the file system has it."""
        (folder / "tmp").mkdir(parents=True, exist_ok=True)
        chosen = folder / "driver"
        builder = cls(folder, "overlay", {**environ, "TMPDIR": str(folder / "tmp")}, progress)
        if not chosen.exists():
            chosen.write_text("overlay" if builder.works() else "vfs")
        return cls(folder, chosen.read_text(), builder.environ, progress)

    def works(self) -> bool:
        """Say whether a storage with this driver can be opened."""
        return self._buildah("info")

    def has(self, name: str) -> bool:
        """Say whether the storage holds an image of this name."""
        return self._try("exists", "--image", name)

    def build(self, recipe: Recipe, root: Path, arguments: dict[str, str]) -> str:
        """Build an image from its Dockerfile, tag it and return its id; steps done before are not done again."""
        identity = self.folder / f"{recipe.name}.id"
        build_arguments = [f"--build-arg={name}={value}" for name, value in (arguments | self._trust()).items()]
        options = [*build_arguments, *self._mounts(), f"--iidfile={identity}", f"--tag={recipe.reference}"]
        self.bud(recipe.short, [*options, "--layers", f"--file={recipe.dockerfile}", "."], root)
        return identity.read_text().strip().removeprefix("sha256:")

    def bud(self, title: str, arguments: list[str], directory: Path) -> None:
        """Run `buildah bud`, telling its long steps; ClusterError with the end of its output if it fails."""
        isolation = ["--isolation=chroot", "--network=host"]
        command = ["buildah", *self._storage("--root", "--runroot"), "bud", *isolation, *arguments]
        log = self.folder / f"{title}.log"
        pipe = subprocess.PIPE
        with (
            log.open("w") as file,
            subprocess.Popen(
                command, cwd=directory, env=self.environ, stdout=pipe, stderr=subprocess.STDOUT, text=True
            ) as process,
        ):
            for line in process.stdout or ():
                file.write(line)
                if SHOWN.match(line.rstrip()):
                    self.progress.say(f"{title}: {line.strip()[:110]}")
        if process.returncode:
            end = "\n".join(log.read_text().splitlines()[-20:])
            raise ClusterError(f"the image {title} could not be built:\n{end}", f"the whole output is in {log}")

    def manifest(self, image: str) -> bytes:
        """Return the manifest that the builder wrote for an image."""
        return self._call("get-image-data", image, "manifest")

    def write_config(self, image: str, digest: str, path: Path) -> None:
        """Write the configuration of an image to a file."""
        path.write_bytes(self._call("get-image-data", image, digest))

    def write_layer(self, layer: str, path: Path) -> None:
        """Write the uncompressed tar of a layer of the storage to a file."""
        self._call("diff", "--uncompressed", "--file", str(path), layer)

    def layers(self, image: str) -> dict[str, str]:
        """Return the storage's ids of an image's layers by their digests."""
        ids_by_digest = {}
        layer = json.loads(self._call("image", "--json", image))[0]["layer"]
        while layer:
            entry = json.loads(self._call("layer", "--json", layer))[0]
            ids_by_digest[entry["diff-digest"]] = layer
            layer = entry.get("parent")
        return ids_by_digest

    def tidy(self) -> None:
        """Leave no mount, no container of a failed build, and no large layer that the next build has no use for."""
        self._buildah("rm", "--all")
        images, layers = (json.loads(self._call(listing, "--json")) for listing in ("images", "layers"))
        for image in pruning.outdated(images, layers):
            self._call("delete-image", image)
        self._call("shutdown")

    def _buildah(self, *arguments: str) -> bool:
        command = ["buildah", *self._storage("--root", "--runroot"), *arguments]
        return subprocess.run(command, env=self.environ, capture_output=True, check=False).returncode == 0

    def _trust(self) -> dict[str, str]:
        authorities = self.environ.get("SSL_CERT_FILE")
        return {"SSL_CERT_FILE": authorities} if authorities else {}

    def _mounts(self) -> list[str]:
        authorities = self.environ.get("SSL_CERT_FILE")
        folder = Path(authorities).parent if authorities else None
        return [f"--volume={folder}:{folder}:ro"] if folder else []

    def _storage(self, root: str, run: str) -> list[str]:
        folders = [f"{root}={self.folder / 'storage'}", f"{run}={self.folder / 'run'}"]
        return [*folders, f"--storage-driver={self.driver}"]

    def _try(self, command: str, *arguments: str) -> bool:
        try:
            self._call(command, *arguments)
        except ClusterError:
            return False
        return True

    def _call(self, command: str, *arguments: str) -> bytes:
        argv = ["containers-storage", command, *self._storage("--graph", "--run"), *arguments]
        done = subprocess.run(argv, env=self.environ, capture_output=True, check=False)
        if done.returncode:
            raise ClusterError(f"containers-storage {' '.join([command, *arguments])}: {done.stderr.decode().strip()}")
        return done.stdout


def environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment for container tools, without what belongs to this Python."""
    return {name: value for name, value in environ.items() if not name.startswith("PYTHON")}
