"""The programs that the cluster runs, each built from a pinned Go module into the cache.

A program's file is keyed by its version, the Go version and its go.mod, go.sum and own sources, so a change of
any of them builds a new one beside the old. What is missing of one module is built by one `go build`, which loads and
compiles what the programs share once. Builds go to a temporary folder first: an interrupted one leaves nothing.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster.errors import ClusterError
from cluster.progress import Progress
from cluster.toolchain import Toolchain

BUILD_BYTES = 6 << 30  # of the largest program, with its sources and what Go keeps of the way
MODULES = Path(__file__).with_name("go")
KUBERNETES_VERSION = "-X k8s.io/component-base/version"
COMPILER_FLAGS = "all=-dwarf=false"
"""For each compiled package: no debug information, which the linker would leave out at the end (`-s -w`)."""


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

    @property
    def binary(self) -> str:
        """The name that `go build` gives to the program: the package's last element but for a major version."""
        return [part for part in self.package.split("/") if not re.fullmatch(r"v\d+", part)][-1]


_KUBERNETES = "k8s.io/kubernetes"


def _kubernetes(name: str) -> Program:
    return Program(name, "kubernetes", _KUBERNETES, f"{_KUBERNETES}/cmd/{name}")


_GPU_PLUGIN = Program("gpu-plugin", "kubernetes", _KUBERNETES, "./gpu-plugin")
_OPERATOR = "github.com/kubeflow/training-operator"
_GCSFUSE = "github.com/googlecloudplatform/gcsfuse/v3"
_FAKE_GCS_SERVER = "github.com/fsouza/fake-gcs-server"
_S3_SERVER = "github.com/versity/versitygw"
PROGRAMS = {
    program.name: program
    for program in (
        _kubernetes("kube-apiserver"),
        Program("etcd", "kubernetes", "go.etcd.io/etcd/server/v3", "go.etcd.io/etcd/server/v3"),
        _kubernetes("kubectl"),
        _kubernetes("kube-controller-manager"),
        _kubernetes("kube-scheduler"),
        _kubernetes("kubelet"),
        _kubernetes("kube-proxy"),
        _GPU_PLUGIN,
        Program("coredns", "coredns", "github.com/coredns/coredns", "./coredns"),
        Program("training-operator", "training-operator", _OPERATOR, f"{_OPERATOR}/cmd/training-operator.v1"),
        Program("gcsfuse", "gcsfuse", _GCSFUSE, _GCSFUSE),
        Program("fake-gcs-server", "fake-gcs-server", _FAKE_GCS_SERVER, _FAKE_GCS_SERVER),
        Program("versitygw", "versitygw", _S3_SERVER, f"{_S3_SERVER}/cmd/versitygw"),
    )
}


def pinned_version(go_mod: str, module: str) -> str:
    """Return the version that the text of a go.mod requires of a module."""
    match = re.search(rf"^\s*(?:require )?{re.escape(module)} (v\S+)", go_mod, re.MULTILINE)
    if not match:
        raise ClusterError(f"go.mod does not require {module}")
    return match[1]


def linker_flags(program: Program) -> str:
    """Return the linker's flags, the same for all of a module; Kubernetes programs learn their version this way."""
    if program.module != "kubernetes":
        return "-s -w"
    version = pinned_version((program.folder / "go.mod").read_text(), _KUBERNETES)
    major, minor, _ = version.lstrip("v").split(".", 2)
    stamps = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    return " ".join(["-s -w", *(f"{KUBERNETES_VERSION}.{name}={value}" for name, value in stamps.items())])


def digest(program: Program, go_version: str) -> str:
    """Return 12 hex digits over everything that decides what a build gives."""
    flags = f"{COMPILER_FLAGS}\n{linker_flags(program)}"
    summed = hashlib.sha256(f"{go_version}\n{program.package}\n{flags}\n".encode())
    sources = sorted((program.folder / program.package).glob("*.go")) if program.package.startswith("./") else []
    for path in (program.folder / "go.mod", program.folder / "go.sum", *sources):
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
        """Build those that are missing, the programs of one module together; return all paths in the order given."""
        wanted = list(names)
        missing = [program for name, program in PROGRAMS.items() if name in wanted and not self.path(name).exists()]
        for module in dict.fromkeys(program.module for program in missing):
            self._build_module([program for program in missing if program.module == module])
        return [self.path(name) for name in wanted]

    def built(self, name: str) -> Path:
        """Return the program's path, building it first if need be."""
        return self.build([name])[0]

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

    def _build_module(self, programs: list[Program]) -> None:
        """Build programs of one module; where another process builds one of them, wait for that and do the rest."""
        self.toolchain.install(self.progress)
        with ExitStack() as locks:
            for program in programs:  # always in the order of PROGRAMS, so that no two processes wait for each other
                folder = self.path(program.name).parent
                folder.mkdir(parents=True, exist_ok=True)
                locks.enter_context(_alone(folder / ".lock", self.progress, program.name))
            missing = [program for program in programs if not self.path(program.name).exists()]
            if missing:
                self._build(missing)
        for program in programs:
            self._link(self.path(program.name))

    def _build(self, programs: list[Program]) -> None:
        self._require_room()
        title = ", ".join(f"{program.name} {program.version}" for program in programs)
        self.progress.say(f"building {title}")
        began = time.monotonic()
        folder = self.path(programs[0].name).parent
        for leftover in folder.glob(".build-*"):  # of a build that was killed: whoever builds holds the folder's lock
            shutil.rmtree(leftover)
        with tempfile.TemporaryDirectory(prefix=".build-", dir=folder) as temporary:
            self._run(programs, Path(temporary))
            for program in programs:
                Path(temporary, program.binary).rename(self.path(program.name))
        self.progress.say(f"built in {time.monotonic() - began:.0f} s")

    def _require_room(self) -> None:
        free = shutil.disk_usage(self.cache).free
        if free < BUILD_BYTES:
            advice = "make room, or name another folder by SIDECAR_CACHE"
            raise ClusterError(
                f"{free >> 30} GiB are free below {self.cache}, a build needs {BUILD_BYTES >> 30}", advice
            )

    def _run(self, programs: list[Program], folder: Path) -> None:
        packages = [program.package for program in programs]
        flags = ["-gcflags", COMPILER_FLAGS, "-ldflags", linker_flags(programs[0])]
        log = self.path(programs[0].name).with_name("build.log")
        with log.open("w+") as output:
            process = subprocess.Popen(
                ["nice", str(self.toolchain.go), "build", "-v", *flags, "-o", f"{folder}/", *packages],
                cwd=programs[0].folder,
                env=self.toolchain.environment(),
                stdout=output,
                stderr=output,
            )
            try:
                while _still_running(process, seconds=10):
                    self.progress.say(f"  {_lines(log)} packages so far")
            finally:
                process.kill()
                process.wait()
        if process.returncode:
            names = ", ".join(program.name for program in programs)
            raise ClusterError(
                f"{names} could not be built; the end of {log}:\n{log.read_text()[-3000:]}",
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
