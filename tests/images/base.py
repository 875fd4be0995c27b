"""The local base image: a small Debian root with Python, made by mmdebstrap, in place of python:slim.

It needs a package mirror and no registry. It is made once for each release and list of packages.
"""

import hashlib
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from cluster.errors import ClusterError
from images.buildah import Buildah

RELEASES = ("bookworm", "trixie", "noble")
"""Releases of Debian and Ubuntu whose python3 is one that the project supports (3.11 to 3.13)."""

PACKAGES = ("ca-certificates", "libstdc++6", "python3", "python3-venv", "usr-is-merged")
"""What is needed beyond the essential packages; usr-is-merged keeps usrmerge, hence all of Perl, out."""

LEFT_OUT = ("/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/man/*")
HOOKS = Path("/usr/share/mmdebstrap/hooks/maybe-merged-usr")
DOCKERFILE = "FROM scratch\nADD root.tar /\n"


def release(os_release: Path = Path("/etc/os-release")) -> str:
    """Return the code name of this machine's release; ClusterError if none of RELEASES."""
    lines = os_release.read_text().splitlines() if os_release.exists() else []
    fields = dict(line.split("=", 1) for line in lines if "=" in line)
    name = fields.get("VERSION_CODENAME", "").strip('"')
    if name not in RELEASES:
        raise ClusterError(
            f"a base image can be made on {', '.join(RELEASES)}, this machine is {name or 'something else'}",
            "name an image that can be pulled: BASE_IMAGE=python:3.11-slim",
        )
    return name


def command(suite: str, target: Path) -> list[str]:
    """Return the command line that makes the root of a release as a tar file."""
    excluded = [f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT]
    options = ["--quiet", "--variant=essential", f"--include={','.join(PACKAGES)}", f"--hook-directory={HOOKS}"]
    return ["mmdebstrap", *options, "--dpkgopt=force-unsafe-io", *excluded, suite, str(target)]


def reference(suite: str) -> str:
    """Return the name of the base image, which changes with whatever it is made from."""
    recipe = "\n".join([*command(suite, Path("root.tar")), DOCKERFILE])
    return f"localhost/sidecar-base:{suite}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def ensure(builder: Buildah, suite: str, environ: Mapping[str, str]) -> str:
    """Make the base image unless the storage holds it; return its name."""
    name = reference(suite)
    if builder.has(name):
        return name
    builder.progress.say(f"base: making a root of {suite} with mmdebstrap")
    with tempfile.TemporaryDirectory(dir=builder.folder / "tmp") as folder:
        _make_root(suite, Path(folder, "root.tar"), environ)
        Path(folder, "Dockerfile").write_text(DOCKERFILE)
        builder.bud("base", [f"--tag={name}", "."], Path(folder))
    builder.progress.say(f"base: made {name}")
    return name


def _make_root(suite: str, target: Path, environ: Mapping[str, str]) -> None:
    done = subprocess.run(command(suite, target), env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(
            f"mmdebstrap could not make a root of {suite}: {done.stderr.strip()[-2000:]}",
            "check that this machine reaches its package mirror (apt-get update)",
        )
