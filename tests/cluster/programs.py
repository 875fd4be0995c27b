"""The programs that the cluster runs, each built from a pinned Go module into the cache.

A program's file is keyed by its version, the Go version and its go.mod, go.sum and own sources, so a change of
any of them builds a new one beside the old. Builds go to a temporary name first: an interrupted one leaves nothing.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster.errors import ClusterError
from cluster.progress import Progress
from cluster.toolchain import Toolchain

BUILD_BYTES = 6 << 30  # of the largest program, with its sources and what Go keeps of the way
MODULES = Path(__file__).with_name("go")
KUBERNETES_VERSION = "-X k8s.io/component-base/version"


@dataclass(frozen=True)
class Program:
    """One program: the folder of its go.mod, the module whose version it bears, and its package."""

    name: str
    module: str
    source: str
    package: str

    @property
    def folder(self) -> Path:
        """The folder that holds the go.mod."""
        return MODULES / self.module

    @property
    def version(self) -> str:
        """The version of the source module, as go.mod pins it, such as v1.34.4."""
        return pinned_version((self.folder / "go.mod").read_text(), self.source)


def _kubernetes(name: str) -> Program:
    return Program(name, "kubernetes", "k8s.io/kubernetes", f"k8s.io/kubernetes/cmd/{name}")


_GPU_PLUGIN = Program("gpu-plugin", "kubernetes", "k8s.io/kubernetes", "./gpu-plugin")
_OPERATOR = "github.com/kubeflow/training-operator"
_GCSFUSE = "github.com/googlecloudplatform/gcsfuse/v3"
_FAKE_GCS_SERVER = "github.com/fsouza/fake-gcs-server"
_S3_SERVER = "github.com/versity/versitygw"
PROGRAMS = {
    program.name: program
    for program in (
        _kubernetes("kube-apiserver"),
        Program("etcd", "etcd", "go.etcd.io/etcd/server/v3", "go.etcd.io/etcd/server/v3"),
        _kubernetes("kubectl"),
        _kubernetes("kube-controller-manager"),
        _kubernetes("kube-scheduler"),
        _kubernetes("kubelet"),
        _kubernetes("kube-proxy"),
        _GPU_PLUGIN,
        Program("coredns", "coredns", "github.com/coredns/coredns", "github.com/coredns/coredns"),
        Program("training-operator", "training-operator", _OPERATOR, f"{_OPERATOR}/cmd/training-operator.v1"),
        Program("gcsfuse", "gcsfuse", _GCSFUSE, _GCSFUSE),
        Program("fake-gcs-server", "fake-gcs-server", _FAKE_GCS_SERVER, _FAKE_GCS_SERVER),
        Program("versitygw", "versitygw", _S3_SERVER, f"{_S3_SERVER}/cmd/versitygw"),
    )
}


def pinned_version(go_mod: str, module: str) -> str:
    """Return the version that the text of a go.mod requires of a module."""
    found = re.search(rf"^\s*(?:require )?{re.escape(module)} (v\S+)", go_mod, re.MULTILINE)
    if not found:
        raise ClusterError(f"go.mod does not require {module}")
    return found[1]


def linker_flags(program: Program) -> str:
    """Return the linker's flags; Kubernetes programs learn their version this way."""
    if program.module != "kubernetes":
        return "-s -w"
    major, minor, _ = program.version.lstrip("v").split(".", 2)
    stamps = {"gitVersion": program.version, "gitMajor": major, "gitMinor": minor}
    return " ".join(["-s -w", *(f"{KUBERNETES_VERSION}.{name}={value}" for name, value in stamps.items())])


def digest(program: Program, go_version: str) -> str:
    """Return 12 hex digits over everything that decides what a build gives."""
    summed = hashlib.sha256(f"{go_version}\n{program.package}\n{linker_flags(program)}\n".encode())
    own = sorted((program.folder / program.package).glob("*.go")) if program.package.startswith("./") else []
    for path in (program.folder / "go.mod", program.folder / "go.sum", *own):
        summed.update(path.read_bytes())
    return summed.hexdigest()[:12]


@dataclass(frozen=True)
class Programs:
    """The built programs in a cache."""

    cache: Path
    progress: Progress
    toolchain: Toolchain

    @classmethod
    def of(cls, cache: Path, progress: Progress) -> "Programs":
        """Return the programs of this cache with the pinned Go."""
        return cls(cache, progress, Toolchain(cache))

    def path(self, name: str) -> Path:
        """Return where the program is, or will be once built."""
        program = PROGRAMS[name]
        key = f"{name}-{program.version}-go{self.toolchain.version}-{digest(program, self.toolchain.version)}"
        return self.cache / "programs" / key / name

    def build(self, names: Iterable[str]) -> list[Path]:
        """Build those that are missing, in the order given, and return all their paths."""
        return [self.built(name) for name in names]

    def built(self, name: str) -> Path:
        """Return the program's path, building it first if need be; another build of it is waited for."""
        path = self.path(name)
        if path.exists():
            return path
        self.toolchain.install(self.progress)
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(path.with_name(".lock"), self.progress, name):
            if not path.exists():
                self._build(PROGRAMS[name], path)
        self._link(path)
        return path

    def module_folder(self, name: str) -> Path:
        """Return the folder of the program's source module in the module cache, downloaded and checked."""
        program = PROGRAMS[name]
        self.toolchain.install(self.progress)
        listed = ["list", "-m", "-f", "{{.Dir}}", program.source]
        for arguments in (["mod", "download", program.source], listed):
            done = subprocess.run(
                [str(self.toolchain.go), *arguments],
                cwd=program.folder,
                env=self.toolchain.environment(),
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise ClusterError(f"the module {program.source} cannot be read: {done.stderr.strip()}")
        return Path(done.stdout.strip())

    def _build(self, program: Program, path: Path) -> None:
        free = shutil.disk_usage(path.parent).free
        if free < BUILD_BYTES:
            advice = "make room, or name another folder by SIDECAR_CACHE"
            raise ClusterError(
                f"{free >> 30} GiB are free below {self.cache}, a build needs {BUILD_BYTES >> 30}", advice
            )
        for leftover in path.parent.glob(".build-*"):
            leftover.unlink()
        temporary = path.with_name(f".build-{os.getpid()}")
        self.progress.say(f"building {program.name} {program.version}")
        began = time.monotonic()
        command = [
            "nice",
            str(self.toolchain.go),
            "build",
            "-v",
            "-ldflags",
            linker_flags(program),
            "-o",
            str(temporary),
            program.package,
        ]
        self._run(program, command, path.with_name("build.log"))
        temporary.rename(path)
        self.progress.say(f"built {program.name} in {time.monotonic() - began:.0f} s")

    def _run(self, program: Program, command: list[str], log: Path) -> None:
        with log.open("w+") as output:
            process = subprocess.Popen(
                command,
                cwd=program.folder,
                env=self.toolchain.environment(),
                stdout=output,
                stderr=output,
            )
            try:
                while _still_running(process, seconds=10):
                    self.progress.say(f"  {program.name}: {_lines(log)} packages so far")
            finally:
                process.kill()
                process.wait()
        if process.returncode:
            raise ClusterError(
                f"{program.name} could not be built; the end of {log}:\n{log.read_text()[-3000:]}",
                "check the way to the Go module proxy (GOPROXY, HTTPS_PROXY), then try again",
            )

    def _link(self, path: Path) -> None:
        """Keep <cache>/bin/NAME pointing at what was built last, for people."""
        link = self.cache / "bin" / path.name
        link.parent.mkdir(exist_ok=True)
        temporary = link.with_name(f".{path.name}-{os.getpid()}")
        temporary.symlink_to(path)
        temporary.rename(link)


def _still_running(process: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return True
    return False


def _lines(log: Path) -> int:
    return log.read_bytes().count(b"\n")


@contextmanager
def _alone(path: Path, progress: Progress, name: str) -> Iterator[None]:
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.say(f"waiting for another build of {name}")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
