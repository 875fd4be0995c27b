"""Object stores on this machine, and the mounts of their buckets: GCS by gcsfuse, S3 by s3fs.

The stores hold their objects in memory (GCS) or in a folder of the test (S3), listen on 127.0.0.1 alone and end with
their `with` block. Their flags are what the real clients need of a stand-in, not what a user would give.
"""

import json
import socket
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster.errors import ClusterError
from cluster.processes import log_end, poll, require_running, spawn
from cluster.programs import Programs
from mounts.mount import Mount, mounted
from support.waiting import DEADLINE

PROGRAMS = ("fake-gcs-server", "gcsfuse", "versitygw")
BUCKET = "runs"
_ACCESS, _SECRET = "access", "secret-of-a-test"


@dataclass(frozen=True)
class Gcs:
    """A running GCS stand-in with one bucket."""

    programs: Programs
    url: str

    def mount(self, folder: Path, log: Path, options: Sequence[str] = ()) -> AbstractContextManager[Mount]:
        """Mount the bucket with gcsfuse; `options` are flags of its own, such as `--metadata-cache-ttl-secs=0`."""
        # A stand-in knows neither folders of a hierarchical bucket nor the atomic rename of an object.
        stand_in = ("--anonymous-access", "--enable-hns=false", "--enable-atomic-rename-object=false")
        endpoint = f"--custom-endpoint={self.url}/storage/v1/"
        flags = ("--foreground", endpoint, *stand_in, "--implicit-dirs", *options)
        return mounted([self.programs.path("gcsfuse"), *flags, BUCKET, folder], folder, log)


@dataclass(frozen=True)
class S3:
    """A running S3 gateway with one bucket."""

    folder: Path
    url: str

    def mount(self, folder: Path, log: Path, options: Sequence[str] = ()) -> AbstractContextManager[Mount]:
        """Mount the bucket with s3fs; `options` are `-o` options of its own."""
        password = self.folder / "password"
        password.touch(mode=0o600)
        password.write_text(f"{_ACCESS}:{_SECRET}\n")
        mount_options = (f"passwd_file={password}", f"url={self.url}", "use_path_request_style", *options)
        return mounted(["/usr/bin/s3fs", BUCKET, folder, "-f", "-o", ",".join(mount_options)], folder, log)


@contextmanager
def gcs(programs: Programs, folder: Path) -> Iterator[Gcs]:
    """Run the GCS stand-in, its log in the folder."""
    address = _free_address()
    url = f"http://{address}"
    host, port = address.split(":")
    # Its file system backend cannot hold the directory objects that gcsfuse writes.
    flags = ("-backend", "memory", "-scheme", "http", "-host", host, "-port", port)
    outside = ("-public-host", address, "-external-url", url)
    with _running([programs.path("fake-gcs-server"), *flags, *outside], address, folder / "gcs.log"):
        _post(f"{url}/storage/v1/b?project=tests", {"name": BUCKET})
        yield Gcs(programs, url)


@contextmanager
def s3(programs: Programs, folder: Path) -> Iterator[S3]:
    """Run the S3 gateway over a folder, its log beside."""
    address = _free_address()
    (folder / "objects" / BUCKET).mkdir(parents=True)
    (folder / "metadata").mkdir()
    access = ("--access", _ACCESS, "--secret", _SECRET)
    # Metadata beside the objects: not every file system has attributes for it.
    backend = ("posix", "--sidecar", folder / "metadata", folder / "objects")
    flags = ("--port", address, "--quiet", *access)
    with _running([programs.path("versitygw"), *flags, *backend], address, folder / "s3.log"):
        yield S3(folder, f"http://{address}")


@contextmanager
def _running(command: Sequence[str | Path], address: str, log: Path) -> Iterator[None]:
    process = spawn(command, log, die_with_parent=True)
    name = Path(command[0]).name

    def settled() -> bool:
        require_running(process, name, log)
        return _listens(address)

    try:
        if not poll(settled, DEADLINE):
            raise ClusterError(f"{name} did not listen in time; the end of {log}:\n{log_end(log)}")
        yield
    finally:
        process.kill()
        process.wait()


def _listens(address: str) -> bool:
    host, port = address.split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def _free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def _post(url: str, body: dict[str, str]) -> None:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=DEADLINE) as answer:
        answer.read()
