"""A real API server with its etcd alone, without root, for integration tests.

    with ApiServer.start(tmp_path / "api") as server:
        server.kubeconfig                      # Path of the administrator's kubeconfig
        server.url, server.authority           # https://127.0.0.1:PORT, the PEM text that verifies it
        server.client.post("/api/v1/namespaces", {...})   # the administrator, JSON in and out
        server.create_namespace("team-a")      # with its default ServiceAccount
        token = server.token("mnist-evaluator", "team-a", pod="mnist-evaluator-0a1b2c3d-xyz12")   # bound to that pod
        server.kubeconfig_of(token)            # Path of a kubeconfig for that token

RBAC, admission (ServiceAccount, PodSecurity, ValidatingAdmissionPolicy, ...) and TokenRequest are the real ones;
there are no controllers, so nothing creates ServiceAccounts, runs Jobs, collects garbage or finishes deleting a
namespace. Any number can run side by side. It starts in about 3 s, building missing programs first. Both
processes die with the test process, however it ends: start it in a thread that lives as long as the server.
"""

import hashlib
import shutil
import socket
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from cluster import control_plane
from cluster.client import Client, Object
from cluster.control_plane import ControlPlane
from cluster.credentials import User, kubeconfig, signing_key, token_file, write_secret
from cluster.errors import ClusterError
from cluster.processes import poll, require_running, spawn
from cluster.programs import Programs
from cluster.progress import Progress
from cluster.settings import Settings

ATTEMPTS = 3  # a free port may be taken by another program before the server binds it
READY_SECONDS = 300.0


@dataclass
class ApiServer:
    """A running API server; ends with its `with` block or by `stop`."""

    plane: ControlPlane
    admin: User
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _binaries: tuple[Path, Path] = (Path("etcd"), Path("kube-apiserver"))

    @classmethod
    def start(cls, folder: Path, settings: Settings | None = None) -> "ApiServer":
        """Start one in this folder, which is emptied first and need not exist."""
        settings = settings or Settings.from_environment()
        binaries = Programs.of(settings.cache, Progress()).build(["etcd", "kube-apiserver"])
        for attempt in range(1, ATTEMPTS + 1):
            server = cls(ControlPlane(folder.absolute(), "127.0.0.1", _free_port(), "10.0.0.0/24"), _administrator())
            try:
                server._start(*binaries)
            except BaseException as error:
                server.stop()
                if (
                    not isinstance(error, ClusterError)
                    or "address already in use" not in str(error)
                    or attempt == ATTEMPTS
                ):
                    raise
            else:
                return server
        raise AssertionError("unreachable")

    @property
    def url(self) -> str:
        """The server's address."""
        return self.plane.url

    @property
    def authority(self) -> str:
        """The PEM text of the certificate that verifies the server."""
        return self.plane.certificate.read_text()

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.plane.folder / "admin.kubeconfig"

    @property
    def client(self) -> Client:
        """A client with the administrator's rights."""
        return self.client_of(self.admin.token)

    def client_of(self, token: str) -> Client:
        """Return a client with the rights of a token."""
        return Client(self.url, self.authority, token)

    def kubeconfig_of(self, token: str) -> Path:
        """Write a kubeconfig for a token and return its path."""
        name = hashlib.sha256(token.encode()).hexdigest()[:16]
        return write_secret(self.plane.folder / f"{name}.kubeconfig", kubeconfig(self.url, self.authority, token))

    def create_namespace(self, name: str, labels: dict[str, str] | None = None) -> None:
        """Create a namespace and the default ServiceAccount, which a controller would create otherwise."""
        self.client.post("/api/v1/namespaces", {"metadata": {"name": name, "labels": labels or {}}})
        self.create_service_account("default", name)

    def create_service_account(self, name: str, namespace: str) -> None:
        """Create a ServiceAccount."""
        self.client.post(f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": name}})

    def token(self, service_account: str, namespace: str = "default", pod: str | None = None) -> str:
        """Request a token of a ServiceAccount, bound to an existing pod that uses it if one is named."""
        spec: Object = {"expirationSeconds": 3600}
        if pod:
            uid = self.client.get(f"/api/v1/namespaces/{namespace}/pods/{pod}")["metadata"]["uid"]
            spec["boundObjectRef"] = {"kind": "Pod", "apiVersion": "v1", "name": pod, "uid": uid}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{service_account}/token"
        return str(self.client.post(path, {"spec": spec})["status"]["token"])

    def back_up(self) -> None:
        """Copy the database, which takes a restart."""
        self.stop()
        shutil.copytree(self._database, self._backup)
        self._run()

    def restore(self) -> None:
        """Go back to the copy of the database, as after a disaster: versions go backwards."""
        self.stop()
        shutil.rmtree(self._database)
        shutil.copytree(self._backup, self._database)
        self._run()

    def stop(self) -> None:
        """End both processes; safe to call twice."""
        for process in reversed(self.processes):
            process.kill()  # nothing is to be saved
            process.wait()
        self.processes.clear()

    def __enter__(self) -> "ApiServer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start(self, etcd: Path, apiserver: Path) -> None:
        folder = self.plane.folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, mode=0o700)
        write_secret(self.plane.key, signing_key())
        write_secret(self.plane.tokens, token_file([self.admin]))
        self._binaries = (etcd, apiserver)
        self._run()
        write_secret(self.kubeconfig, kubeconfig(self.url, self.authority, self.admin.token))

    def _run(self) -> None:
        etcd, apiserver = self._binaries
        lone = ("--endpoint-reconciler-type=none", "--allow-privileged")
        self._spawn([etcd, *control_plane.etcd(self.plane)])
        self._spawn([apiserver, *control_plane.apiserver(self.plane, *lone)])
        self._wait(self.plane.certificate.exists)
        self._wait(lambda: self.client.answers("/readyz"))

    @property
    def _database(self) -> Path:
        return self.plane.folder / "etcd"

    @property
    def _backup(self) -> Path:
        return self.plane.folder / "etcd-backup"

    def _spawn(self, argv: list[str | Path]) -> None:
        log = self.plane.folder / f"{Path(argv[0]).name}.log"
        self.processes.append(spawn(argv, log, die_with_parent=True))

    def _wait(self, condition: Callable[[], bool]) -> None:
        def settled() -> bool:
            for process, name in zip(self.processes, ("etcd", "kube-apiserver"), strict=True):
                require_running(process, name, self.plane.folder / f"{name}.log")
            return condition()

        if not poll(settled, READY_SECONDS):
            raise ClusterError(f"the API server was not ready within {READY_SECONDS:.0f} s; see {self.plane.folder}")


def _administrator() -> User:
    return User("admin", ("system:masters",)).with_token()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
